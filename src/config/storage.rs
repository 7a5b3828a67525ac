//! Validated settings of where media lies: a folder, or a part of a bucket in an object store.

use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::{Error, keys::Values, parse::absolute};

/// Where media lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageSettings {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// In an S3-compatible object store.
    Bucket(BucketSettings),
}

/// A part of a bucket. Its credentials are no settings: they come by the variables that every program for S3 reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// The bucket's name.
    pub bucket: String,
    /// What keys in it begin with, without a `/` at its ends; nothing when all of the bucket is ours.
    pub prefix: String,
    /// Of another store than Amazon's.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; by default what `AWS_REGION` says.
    pub region: Option<String>,
    /// Whether the endpoint is one without TLS, and may be: on this machine, or because somebody said so.
    pub is_plain_http: bool,
}

/// How buckets are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketAccess {
    endpoint: Option<String>,
    region: Option<String>,
    is_plain_http: bool,
}

impl BucketAccess {
    pub(super) fn validate(values: &Values) -> Result<Self, Error> {
        let may_be_plain = values.flag("storage.s3.allow_http", false);
        let endpoint = values.parse("storage.s3.endpoint", || None, |text| parse_endpoint(text, may_be_plain))?;
        let is_plain_http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let region = values.parse("storage.s3.region", || None, parse_region)?;
        Ok(Self { endpoint, region, is_plain_http })
    }
}

impl StorageSettings {
    pub(super) fn validate(values: &Values, folder: &Path, access: &BucketAccess) -> Result<Self, Error> {
        let storage = values.parse("storage.url", || Self::Folder(folder.join("media")), parse_url)?;
        Ok(storage.reached_by(access))
    }

    /// The place of a URL, reached as the settings say.
    pub(super) fn at(url: &str, access: &BucketAccess) -> Result<Self, String> {
        parse_url(url).map(|storage| storage.reached_by(access))
    }

    fn reached_by(self, access: &BucketAccess) -> Self {
        let BucketAccess { endpoint, region, is_plain_http } = access.clone();
        match self {
            Self::Bucket(bucket) => Self::Bucket(BucketSettings { endpoint, region, is_plain_http, ..bucket }),
            Self::Folder(_) => self,
        }
    }

    /// The folder, where it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }

    /// As it is written in settings.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Folder(folder) => format!("file://{}", folder.display()),
            Self::Bucket(BucketSettings { bucket, prefix, .. }) if prefix.is_empty() => format!("s3://{bucket}"),
            Self::Bucket(BucketSettings { bucket, prefix, .. }) => format!("s3://{bucket}/{prefix}"),
        }
    }
}

fn parse_url(text: &str) -> Result<StorageSettings, String> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_good = is_bucket_name(bucket) && (prefix.is_empty() || prefix.split('/').all(is_prefix_part));
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        let bucket = BucketSettings { bucket, prefix, endpoint: None, region: None, is_plain_http: false };
        return if is_good { Ok(StorageSettings::Bucket(bucket)) } else { Err(WANTED.into()) };
    }
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file");
    let path = url.and_then(|url| url.to_file_path().ok());
    path.map(|path| StorageSettings::Folder(absolute(&path))).ok_or_else(|| WANTED.into())
}

const WANTED: &str = "media lies in a folder or in a bucket: it must be \"file:///path/to/folder\" or \"s3://bucket/prefix\", with a prefix of letters, digits and `._-+@=`";

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>; others than Amazon take longer ones.
fn is_bucket_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    (3..=255).contains(&name.len()) && name.bytes().all(is_good) && !name.starts_with(['.', '-'])
}

fn is_prefix_part(part: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@=".contains(&byte);
    !["", ".", ".."].contains(&part) && part.bytes().all(is_good)
}

fn parse_endpoint(text: &str, may_be_plain: bool) -> Result<Option<String>, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.query().is_none());
    let Some(url) = url else { return Err("it must be a URL such as https://s3.example, without a password".into()) };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_here && !may_be_plain {
        return Err("without TLS anybody on the way could cut and change what is stored: it must be https://, or `storage.s3.allow_http` must say true".into());
    }
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

fn parse_region(text: &str) -> Result<Option<String>, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_good) {
        Ok(Some(text.to_owned()))
    } else {
        Err("it must be the name of a region, such as eu-central-1".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Source};
    use super::*;

    fn load(toml: &str) -> Result<StorageSettings, Error> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sealtape.toml");
        std::fs::write(&path, format!("[storage]\n{toml}")).expect("written");
        Settings::load(&Source::File(path), std::iter::empty()).map(|settings| settings.storage)
    }

    #[test]
    fn folders_and_buckets() {
        assert_eq!(load("url = \"file:///var/media\"").expect("good").folder(), Some(Path::new("/var/media")));
        let toml = "url = \"s3://my-bucket/a/b=1/\"\ns3.endpoint = \"http://127.0.0.1:3900/\"\ns3.region = \"garage\"";
        let storage = load(toml).expect("good");
        assert_eq!((storage.url().as_str(), storage.folder()), ("s3://my-bucket/a/b=1", None));
        let StorageSettings::Bucket(bucket) = storage else { panic!("{storage:?}") };
        assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("my-bucket", "a/b=1"));
        assert_eq!((bucket.endpoint.as_deref(), bucket.is_plain_http), (Some("http://127.0.0.1:3900"), true));
        assert_eq!(load("url = \"s3://my-bucket\"").expect("good").url(), "s3://my-bucket");
        for endpoint in ["https://s3.example", "http://localhost:3900", "http://[::1]:3900"] {
            load(&format!("url = \"s3://bucket\"\ns3.endpoint = \"{endpoint}\"")).expect(endpoint);
        }
        let said = "url = \"s3://bucket\"\ns3.endpoint = \"http://s3.lan\"\ns3.allow_http = true";
        assert!(matches!(load(said), Ok(StorageSettings::Bucket(bucket)) if bucket.is_plain_http));
    }

    #[test]
    fn what_is_wrong_with_them_is_said() {
        for (toml, said) in [
            ("url = \"/var/media\"", "s3://bucket/prefix"),
            ("url = \"s3://\"", "s3://bucket/prefix"),
            ("url = \"s3://Bucket\"", "s3://bucket/prefix"),
            ("url = \"s3://bucket/a//b\"", "s3://bucket/prefix"),
            ("url = \"s3://bucket/../a\"", "s3://bucket/prefix"),
            ("url = \"s3://key:secret@bucket\"", "s3://bucket/prefix"),
            ("url = \"s3://bucket\"\ns3.endpoint = \"s3.example\"", "https://s3.example"),
            ("url = \"s3://bucket\"\ns3.endpoint = \"https://a:b@s3.example\"", "without a password"),
            ("url = \"s3://bucket\"\ns3.endpoint = \"http://s3.example\"", "allow_http"),
            ("url = \"s3://bucket\"\ns3.endpoint = \"http://localhost.example\"", "allow_http"),
            ("url = \"s3://bucket\"\ns3.region = \"\"", "eu-central-1"),
        ] {
            match load(toml) {
                Err(Error::BadValue { reason, .. }) => assert!(reason.contains(said), "{toml}: {reason}"),
                other => panic!("{toml}: {other:?}"),
            }
        }
    }
}
