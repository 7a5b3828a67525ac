//! The player and other pages: files of `player-demo/`, in the binary.

use bytes::Bytes;
use hyper::{
    Response,
    header::{self, HeaderValue},
};

use super::body::Body;

/// Nothing but our own files, no frame around us, nothing inline. `blob:` is media that our own scripts feed an element with.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// How the page's body begins, and how that of the demo does.
const PLAIN_BODY: &str = "<body>";
const DEMO_BODY: &str = "<body data-demo>";

macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        /// Name and content of every file of the player.
        const ASSETS: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../player-demo/", $name)))),*];
    };
}

assets![
    "address.js",
    "api.js",
    "app.js",
    "codec.js",
    "companion.js",
    "deck.js",
    "demo.js",
    "diagnosis.js",
    "dom.js",
    "embed.html",
    "embed.js",
    "facts.js",
    "filter.js",
    "following.js",
    "group.js",
    "help.js",
    "index.html",
    "keys.js",
    "lacking.js",
    "list.js",
    "listen.css",
    "live.js",
    "loop.js",
    "media.js",
    "player.js",
    "problem.js",
    "qa-ask.js",
    "qa-plays.js",
    "qa-recording.js",
    "qa-server.js",
    "qa.css",
    "qa.html",
    "qa.js",
    "reading.js",
    "row.js",
    "sealtape-player.js",
    "segments.js",
    "session.js",
    "silence.js",
    "style.css",
    "timeline.js",
    "together.js",
    "transport.js",
    "trouble.js",
    "waveform.js",
    "words.js",
];

/// The one file that pages of any origin may load. It is the same for everybody, and plays what a link lets play.
const EMBEDDED: &str = "sealtape-player.js";

/// The player's page. That of the demo is marked, so that no other asks for a switch that is not there.
pub(super) fn home(is_demo: bool) -> Response<Body> {
    let html = find("index.html").unwrap_or_default();
    let html = match std::str::from_utf8(html) {
        Ok(text) if is_demo => Bytes::from(text.replacen(PLAIN_BODY, DEMO_BODY, 1)),
        _ => Bytes::from_static(html),
    };
    with_type(html, "text/html; charset=utf-8")
}

/// A file of the player.
pub(super) fn asset(name: &str) -> Option<Response<Body>> {
    let media_type = match name.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        _ => return None,
    };
    let mut response = with_type(Bytes::from_static(find(name)?), media_type);
    if is_for_other_sites(name) {
        // A module of another origin is loaded only where its server says so.
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    Some(response)
}

/// Whether pages of other sites may load a file of the player.
pub(super) fn is_for_other_sites(name: &str) -> bool {
    name == EMBEDDED
}

/// A page made here.
pub(super) fn page(html: String) -> Response<Body> {
    with_type(Bytes::from(html), "text/html; charset=utf-8")
}

fn find(name: &str) -> Option<&'static [u8]> {
    ASSETS.iter().find(|(asset, _)| *asset == name).map(|(_, bytes)| *bytes)
}

fn with_type(bytes: Bytes, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_place_where_the_demo_is_marked() {
        let html = std::str::from_utf8(find("index.html").expect("the page")).expect("UTF-8");
        assert_eq!(html.matches(PLAIN_BODY).count(), 1);
        assert!(!html.contains(DEMO_BODY));
    }

    #[test]
    fn every_file_of_the_player_is_in_the_binary() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/player-demo");
        for entry in std::fs::read_dir(folder).expect("player-demo") {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_file() {
                let name = entry.file_name().into_string().expect("UTF-8");
                assert!(find(&name).is_some(), "{name} is not listed");
                assert!(asset(&name).is_some(), "{name} has no media type");
            }
        }
    }

    #[test]
    fn pages_of_other_origins_load_one_file() {
        for (name, _) in ASSETS {
            let answer = asset(name).expect("listed");
            let allowed = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.is_some(), *name == "sealtape-player.js", "{name}: {allowed:?}");
        }
    }
}
