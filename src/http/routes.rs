//! Every path that is answered, decoded into one closed enum.

use std::str::FromStr;

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::base::{ErrorCode, RecordingId, SidecarName};

/// As many segments as any path has that is answered.
const SEGMENTS_MAX: usize = 4;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/`
    Home,
    /// `/player/{name}`
    Asset(String),
    /// `/recordings`
    Recordings,
    /// `/recordings/{id}`
    Recording(RecordingId),
    /// `/recordings/{id}/media`
    Media(RecordingId),
    /// `/recordings/{id}/sidecars/{name}`
    Sidecar(RecordingId, SidecarName),
    /// `/recordings/{id}/waveform`
    Waveform(RecordingId),
    /// `/recordings/{id}/link`
    Link(RecordingId),
    /// `/recordings/{text}…` with a text that no recording is called.
    ImpossibleId,
    /// `/problems/{code}`
    Problem(ErrorCode),
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    OpenApi,
    /// `/demo/encryption`
    DemoEncryption,
    /// Anything else.
    Unknown,
}

/// What a route is called where requests are counted and described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteName {
    /// In metrics.
    pub class: &'static str,
    /// In traces and in `openapi.json`.
    pub template: &'static str,
}

impl Route {
    /// Its name, without what it names.
    pub(super) fn name(&self) -> RouteName {
        let (class, template) = match self {
            Self::Home => ("home", "/"),
            Self::Asset(_) => ("player", "/player/{file}"),
            Self::Recordings => ("recordings", "/recordings"),
            Self::Recording(_) => ("recording", "/recordings/{id}"),
            Self::Media(_) => ("media", "/recordings/{id}/media"),
            Self::Sidecar(..) => ("sidecar", "/recordings/{id}/sidecars/{name}"),
            Self::Waveform(_) => ("waveform", "/recordings/{id}/waveform"),
            Self::ImpossibleId => ("impossible-id", "/recordings/{id}"),
            Self::Link(_) => ("link", "/recordings/{id}/link"),
            Self::Problem(_) => ("problem", "/problems/{code}"),
            Self::Live => ("livez", "/livez"),
            Self::Ready => ("readyz", "/readyz"),
            Self::Metrics => ("metrics", "/metrics"),
            Self::OpenApi => ("openapi", "/openapi.json"),
            Self::DemoEncryption => ("demo-encryption", "/demo/encryption"),
            Self::Unknown => ("unknown", "/{unknown}"),
        };
        RouteName { class, template }
    }

    /// Decodes a path, as it stands in the request.
    pub(super) fn decode(path: &str) -> Self {
        let mut segments = [""; SEGMENTS_MAX + 1];
        let mut len = 0;
        for (place, segment) in segments.iter_mut().zip(path.strip_prefix('/').unwrap_or(path).split('/')) {
            *place = segment;
            len += 1;
        }
        match segments.get(..len).unwrap_or_default() {
            [""] => Self::Home,
            ["player", name] if !name.is_empty() => Self::Asset((*name).to_owned()),
            ["recordings"] => Self::Recordings,
            ["recordings", id] if !id.is_empty() => recording(id, Self::Recording),
            ["recordings", id, "media"] => recording(id, Self::Media),
            ["recordings", id, "waveform"] => recording(id, Self::Waveform),
            ["recordings", id, "link"] => recording(id, Self::Link),
            ["recordings", id, "sidecars", name] if !name.is_empty() => match decoded::<SidecarName>(name) {
                Some(name) => recording(id, |id| Self::Sidecar(id, name.clone())),
                None => Self::ImpossibleId,
            },
            ["problems", code] => code.parse().map_or(Self::Unknown, Self::Problem),
            ["livez"] => Self::Live,
            ["readyz"] => Self::Ready,
            ["metrics"] => Self::Metrics,
            ["openapi.json"] => Self::OpenApi,
            ["demo", "encryption"] => Self::DemoEncryption,
            _ => Self::Unknown,
        }
    }

    /// Whether it tells anything of recordings, so that it matters who asks.
    pub(super) fn asks_who(&self) -> bool {
        match self {
            Self::Recordings
            | Self::Recording(_)
            | Self::Media(_)
            | Self::Sidecar(..)
            | Self::Waveform(_)
            | Self::Link(_)
            | Self::ImpossibleId
            | Self::DemoEncryption => true,
            Self::Home
            | Self::Asset(_)
            | Self::Problem(_)
            | Self::Live
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::Unknown => false,
        }
    }

    /// The recording that it is about.
    pub(super) fn recording(&self) -> Option<&RecordingId> {
        match self {
            Self::Link(id) => Some(id),
            other => other.link_target(),
        }
    }

    /// The recording that a signed link to it would open here.
    pub(super) fn link_target(&self) -> Option<&RecordingId> {
        match self {
            Self::Recording(id) | Self::Media(id) | Self::Sidecar(id, _) | Self::Waveform(id) => Some(id),
            Self::Home
            | Self::Asset(_)
            | Self::Recordings
            | Self::Link(_)
            | Self::ImpossibleId
            | Self::Problem(_)
            | Self::Live
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::DemoEncryption
            | Self::Unknown => None,
        }
    }

    /// The methods that it answers, as `Allow` lists them.
    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::DemoEncryption => &[Method::GET, Method::HEAD, Method::POST],
            Self::Link(_) => &[Method::POST],
            // Whatever is asked of it: there is no such recording.
            Self::ImpossibleId => {
                &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
            }
            Self::Recording(_) => &[Method::GET, Method::HEAD, Method::PATCH, Method::DELETE],
            Self::Media(_) => &[Method::GET, Method::HEAD, Method::PUT],
            Self::Home
            | Self::Asset(_)
            | Self::Recordings
            | Self::Sidecar(..)
            | Self::Waveform(_)
            | Self::Problem(_)
            | Self::Live
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::Unknown => &[Method::GET, Method::HEAD],
        }
    }
}

fn recording(segment: &str, route: impl Fn(RecordingId) -> Route) -> Route {
    decoded(segment).map_or(Route::ImpossibleId, route)
}

fn decoded<T: FromStr>(segment: &str) -> Option<T> {
    percent_decode_str(segment).decode_utf8().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_one_thing() {
        let id: RecordingId = "a+b@c".parse().expect("an ID");
        for (path, route) in [
            ("/", Route::Home),
            ("/player/app.js", Route::Asset("app.js".into())),
            ("/player/", Route::Unknown),
            ("/player/../Cargo.toml", Route::Unknown),
            ("/recordings", Route::Recordings),
            ("/recordings/", Route::Unknown),
            ("/recordings/a+b@c", Route::Recording(id.clone())),
            ("/recordings/a%2Bb%40c", Route::Recording(id.clone())),
            ("/recordings/a%2bb%40c/media", Route::Media(id)),
            ("/recordings/a/waveform", Route::Waveform("a".parse().expect("an ID"))),
            ("/recordings/a/waveform/", Route::Unknown),
            ("/recordings/a%2Fb/waveform", Route::ImpossibleId),
            ("/recordings/a/link", Route::Link("a".parse().expect("an ID"))),
            (
                "/recordings/a/sidecars/t.json",
                Route::Sidecar("a".parse().expect("an ID"), "t.json".parse().expect("a name")),
            ),
            ("/recordings/a/sidecars/..", Route::ImpossibleId),
            ("/recordings/a/sidecars/", Route::Unknown),
            ("/recordings/a/sidecars/t.json/x", Route::Unknown),
            ("/recordings/a/sidecars/t.json/", Route::Unknown),
            ("/recordings/a/media/x/y/z", Route::Unknown),
            ("/recordings/a/sidecars", Route::Unknown),
            ("/recordings/a%2Fb/media", Route::ImpossibleId),
            ("/recordings/%2e%2e/media", Route::ImpossibleId),
            ("/recordings/..", Route::ImpossibleId),
            ("/recordings/%ff", Route::ImpossibleId),
            ("/recordings//media", Route::ImpossibleId),
            ("/recordings/a/media/", Route::Unknown),
            ("/recordings/a/other", Route::Unknown),
            ("/problems/key-missing", Route::Problem(ErrorCode::KeyMissing)),
            ("/problems/other", Route::Unknown),
            ("/livez", Route::Live),
            ("/readyz", Route::Ready),
            ("/metrics", Route::Metrics),
            ("/openapi.json", Route::OpenApi),
            ("/demo/encryption", Route::DemoEncryption),
            ("//", Route::Unknown),
            ("", Route::Home),
            ("*", Route::Unknown),
        ] {
            assert_eq!(Route::decode(path), route, "{path}");
        }
    }
}
