//! `GET` and `HEAD` of `/recordings/{id}/sidecars/{name}`: a file that came beside a recording, verified as a whole.

use bytes::Bytes;
use hyper::{
    Method, Response,
    header::{self, HeaderValue},
};

use super::{App, Problem, app::Request, body::Body, describe::of_companion};
use crate::audit::{Event, EventKind};
use crate::base::{ErrorCode, RecordingId, SidecarName};
use crate::service::CompanionError;

impl App {
    /// The sidecar of that name. Never shown by a browser as a page of this server's.
    pub(super) async fn sidecar(
        &self,
        request: &Request,
        id: &RecordingId,
        name: &SidecarName,
    ) -> Result<Response<Body>, Problem> {
        // Tells a recording that is not there from one that has no such sidecar.
        self.playback.recording(id).await.map_err(|error| Problem::of_playback(&error, id))?;
        let found = self.companions.sidecar(id, name).await;
        let (companion, content) = found.map_err(|error| {
            tracing::debug!(request = %request.id, %id, %name, code = %error.code(), %error, "cannot be had");
            match error {
                CompanionError::NotFound => {
                    Problem::new(ErrorCode::NotFound).with_detail("The recording has no sidecar of that name.")
                }
                error => of_companion(&error, id),
            }
        })?;
        if request.method == Method::GET {
            let event = Event {
                recording: Some(id.to_string()),
                request_ids: vec![request.id.to_string()],
                bytes: Some(companion.content_len),
                detail: Some(name.to_string()),
                ..self.player(request).event(EventKind::SidecarRead)
            };
            self.listening.record(event).await.map_err(|error| Problem::new(error.code()))?;
        }
        let mut response = Response::new(Body::full(Bytes::from_owner(content)));
        let headers = response.headers_mut();
        for (field, value) in [
            (header::CONTENT_TYPE, companion.media_type.as_str().to_owned()),
            // A name is made of letters that need no quoting.
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ] {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (field, value)));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        let policy = HeaderValue::from_static("default-src 'none'; sandbox");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }
}
