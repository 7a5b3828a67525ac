//! The description of this interface, OpenAPI 3.1: written by hand, kept true by tests.

use hyper::{
    Response,
    header::{self, HeaderValue},
};

use super::body::Body;

const DOCUMENT: &str = include_str!("openapi.json");

/// `/openapi.json`
pub(super) fn document() -> Response<Body> {
    let mut response = Response::new(Body::full(DOCUMENT));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::base::ErrorCode;
    use crate::http::{problem::status, routes::Route};

    fn description() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
        value.as_object().unwrap_or_else(|| panic!("{value}")).iter()
    }

    /// Every route by a path that names it. The match fails to compile when there is another one.
    fn routes() -> Vec<Route> {
        let id = || "a".parse().expect("an ID");
        let next = |route: &Route| match route {
            Route::Home => Some(Route::Asset("app.js".into())),
            Route::Asset(_) => Some(Route::Recordings),
            Route::Recordings => Some(Route::Recording(id())),
            Route::Recording(_) => Some(Route::Media(id())),
            Route::Media(_) => Some(Route::Sidecar(id(), "transcript.json".parse().expect("a name"))),
            Route::Sidecar(..) => Some(Route::Waveform(id())),
            Route::Waveform(_) => Some(Route::Link(id())),
            Route::Link(_) => Some(Route::Problem(ErrorCode::Internal)),
            Route::Problem(_) => Some(Route::Live),
            Route::Live => Some(Route::Ready),
            Route::Ready => Some(Route::Metrics),
            Route::Metrics => Some(Route::OpenApi),
            // What follows is no path of its own, or there in the demo alone.
            Route::OpenApi | Route::ImpossibleId | Route::DemoEncryption | Route::Unknown => None,
        };
        std::iter::successors(Some(Route::Home), next).collect()
    }

    #[test]
    fn it_names_the_routes_and_methods_that_are_answered_and_no_others() {
        let methods = |path: &Value| -> BTreeSet<String> {
            object(path).map(|(name, _)| name.to_ascii_uppercase()).filter(|name| name != "PARAMETERS").collect()
        };
        let document = description();
        let described: BTreeMap<String, BTreeSet<String>> =
            object(&document["paths"]).map(|(path, item)| (path.clone(), methods(item))).collect();
        let answered: BTreeMap<String, BTreeSet<String>> = routes()
            .iter()
            .map(|route| {
                let methods = route.methods().iter().map(|method| method.as_str().to_owned()).collect();
                (route.name().template.to_owned(), methods)
            })
            .collect();
        assert!(answered.len() > 10);
        assert_eq!(
            described.keys().collect::<BTreeSet<_>>(),
            answered.keys().collect::<BTreeSet<_>>(),
            "the same paths"
        );
        for (path, methods) in &described {
            let mut methods = methods.clone();
            // HEAD is told once, for all: it is GET without a body.
            if methods.contains("GET") {
                methods.insert("HEAD".into());
            }
            assert_eq!(methods, answered[path], "{path}");
        }
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_problem_stands_under_its_status() {
        let document = description();
        let listed = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().expect("a list");
        let listed: BTreeSet<&str> = listed.iter().filter_map(Value::as_str).collect();
        assert_eq!(listed, ErrorCode::ALL.iter().map(|code| code.as_str()).collect());
        let mut checked = 0;
        for (path, item) in object(&document["paths"]) {
            for (method, operation) in object(item).filter(|(name, _)| *name != "parameters") {
                for (code, response) in object(&operation["responses"]) {
                    let place = format!("{method} {path} {code}");
                    let response = match response["$ref"].as_str() {
                        Some(reference) => {
                            let name = reference.strip_prefix("#/components/responses/").expect("a response");
                            &document["components"]["responses"][name]
                        }
                        None => response,
                    };
                    assert!(response["description"].is_string(), "{place}");
                    let is_problem = response["content"]["application/problem+json"].is_object();
                    assert!(
                        is_problem
                            || !code.starts_with(['4', '5'])
                            || (path.as_str(), code.as_str()) == ("/readyz", "503"),
                        "{place}"
                    );
                    if is_problem {
                        let problems = response["x-problem-codes"].as_array().unwrap_or_else(|| panic!("{place}"));
                        assert!(!problems.is_empty(), "{place}");
                        for problem in problems {
                            let problem: ErrorCode = problem.as_str().expect("a text").parse().expect("a code");
                            assert_eq!(status(problem).as_str(), code, "{place}: {problem}");
                            checked += 1;
                        }
                    }
                }
            }
        }
        assert!(checked > 80, "{checked}");
    }
}
