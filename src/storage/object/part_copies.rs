//! Parts of objects that S3 copies by itself (`UploadPartCopy`), which the client beneath does not offer: another head
//! for a long object without sending the object, and copies of objects that are too long for one.

use std::{ops::Range, time::Duration};

use object_store::{
    Error, PutPayload,
    aws::AmazonS3,
    client::{HttpClient, HttpRequest, HttpRequestBody},
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::{SignedUrlOptions, Signer},
};

use super::bucket::Found;

/// How much is copied by one request; the store is asked for one after the other.
const PART_COPY_LEN: u64 = 1 << 30;
/// How much a store copies at once: 5 GiB.
pub(super) const COPY_LEN_MAX: u64 = 5 << 30;
/// For how long a signature is good.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// How often a request is made that fails.
const ATTEMPTS: u32 = 5;

#[derive(Debug)]
pub(super) struct PartCopies {
    s3: AmazonS3,
    client: HttpClient,
    bucket: String,
}

impl PartCopies {
    pub fn new(s3: AmazonS3, client: HttpClient, bucket: &str) -> Self {
        Self { s3, client, bucket: bucket.to_owned() }
    }

    /// Puts `first`, and what of the object comes behind as much, in the object's place.
    pub async fn rewrite(&self, found: &Found, first: Vec<u8>) -> Result<(), Error> {
        self.assemble(found, &found.path, Some(first)).await
    }

    /// Copies an object of any length.
    pub async fn copy(&self, found: &Found, to: &Path) -> Result<(), Error> {
        self.assemble(found, to, None).await
    }

    async fn assemble(&self, found: &Found, to: &Path, first: Option<Vec<u8>>) -> Result<(), Error> {
        let upload = self.s3.create_multipart(to).await?;
        let assembled = async {
            let (mut parts, mut start) = (Vec::new(), 0);
            if let Some(first) = first {
                start = first.len() as u64;
                parts.push(self.s3.put_part(to, &upload, 0, PutPayload::from(first)).await?);
            }
            while start < found.len {
                let end = found.len.min(start + PART_COPY_LEN);
                parts.push(self.copy_part(found, to, &upload, parts.len(), start..end).await?);
                start = end;
            }
            self.s3.complete_multipart(to, &upload, parts).await
        };
        match assembled.await {
            Ok(_) => Ok(()),
            Err(error) => {
                // Where that fails, the store's own rule for uploads that nobody ended takes them away.
                let _best_effort = self.s3.abort_multipart(to, &upload).await;
                Err(error)
            }
        }
    }

    async fn copy_part(
        &self,
        found: &Found,
        to: &Path,
        upload: &str,
        index: usize,
        range: Range<u64>,
    ) -> Result<PartId, Error> {
        let mut attempt = 0;
        loop {
            match self.ask_for_copy(found, to, upload, index, &range).await {
                Err(error @ Error::Precondition { .. }) => return Err(error),
                Err(error) if attempt + 1 >= ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,
                copied => return copied,
            }
            attempt += 1;
        }
    }

    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>
    async fn ask_for_copy(
        &self,
        found: &Found,
        to: &Path,
        upload: &str,
        index: usize,
        range: &Range<u64>,
    ) -> Result<PartId, Error> {
        let source = format!("/{}/{}", self.bucket, percent_encoded(found.path.as_ref()));
        let last = range.end - 1;
        let number = (index + 1).to_string();
        let mut options = SignedUrlOptions::new().with_query([("partNumber", number.as_str()), ("uploadId", upload)]);
        for (name, value) in [
            ("x-amz-copy-source", source),
            ("x-amz-copy-source-range", format!("bytes={}-{last}", range.start)),
            ("x-amz-copy-source-if-match", found.etag.to_string()),
        ] {
            let name = name.parse().map_err(|_| failed("a name that no header can have"))?;
            let value = value.parse().map_err(|_| failed("a value that no header can have"))?;
            options = options.with_signed_header(name, value);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = "PUT".parse().map_err(|_| failed("a method that no request can have"))?;
        let url = self.s3.signed_url_opts(request.method().clone(), to, SIGNED_FOR, &options).await?;
        *request.uri_mut() = url.as_str().parse().map_err(|_| failed("an address that no request can have"))?;
        *request.headers_mut() = options.signed_headers;
        let answer = self.client.execute(request).await.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(|error| failed(error.to_string()))?;
        let body = String::from_utf8_lossy(&body);
        if status.as_u16() == 412 {
            return Err(Error::Precondition { path: to.to_string(), source: "it was changed meanwhile".into() });
        }
        // A copy that fails half-way is told with a status of success, too.
        match etag(&body).filter(|_| status.is_success()) {
            Some(content_id) => Ok(PartId { content_id }),
            None => Err(failed(format!("{status}: {}", body.replace('\n', " ")))),
        }
    }
}

/// The entity tag in `<CopyPartResult>`.
fn etag(document: &str) -> Option<String> {
    let (_, rest) = document.split_once("<ETag>")?;
    let (etag, _) = rest.split_once("</ETag>")?;
    Some(etag.replace("&quot;", "\"").replace("&#34;", "\""))
}

/// What of keys is not plain in a URL.
fn percent_encoded(key: &str) -> String {
    key.replace('%', "%25").replace('+', "%2B").replace('@', "%40")
}

fn failed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_copied_part_is_read() {
        let document = "<CopyPartResult><LastModified>x</LastModified><ETag>&quot;ab-1&quot;</ETag></CopyPartResult>";
        assert_eq!(etag(document).as_deref(), Some("\"ab-1\""));
        assert_eq!(etag("<Error><Code>InternalError</Code></Error>"), None);
        assert_eq!(percent_encoded("a+b@c/~1.sealed"), "a%2Bb%40c/~1.sealed");
    }
}
