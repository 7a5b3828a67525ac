//! The way to a bucket: its address, and credentials from the variables that every program for S3 reads.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    client::{HttpConnector, ReqwestConnector},
};

use super::{BucketAddress, BucketVariables, part_copies::PartCopies};
use crate::media::Error;

/// Variables that hold credentials, or say where they are, and what they are for.
const VARIABLES: &[(&str, AmazonS3ConfigKey)] = &[
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
    ("AWS_SESSION_TOKEN", AmazonS3ConfigKey::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_ENDPOINT_URL_STS", AmazonS3ConfigKey::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
    ("AWS_REGION", AmazonS3ConfigKey::Region),
    ("AWS_DEFAULT_REGION", AmazonS3ConfigKey::DefaultRegion),
];

/// Any of these is enough.
const ENOUGH: &[&[&str]] = &[
    &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    &["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"],
    &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"],
    &["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For an answer that does not come; whoever waits for less time than that says so themselves.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long what failed is tried again, for players and for writers.
const READS_RETRIED: Duration = Duration::from_secs(5);
const WRITES_RETRIED: Duration = Duration::from_secs(60);

/// A bucket's clients.
pub(super) struct Connected {
    pub reads: Arc<dyn ObjectStore>,
    pub writes: Arc<dyn ObjectStore>,
    pub part_copies: PartCopies,
}

/// What of the environment is missing, when no credentials are there.
pub(super) fn missing_credentials(variables: BucketVariables<'_>) -> Option<String> {
    let is_set = |name: &&str| variables(name).is_some_and(|value| !value.is_empty());
    if ENOUGH.iter().any(|names| names.iter().all(&is_set)) {
        return None;
    }
    let half = ENOUGH.iter().find(|names| names.iter().any(&is_set)).or(ENOUGH.first())?;
    let missing: Vec<&str> = half.iter().copied().filter(|name| !is_set(name)).collect();
    Some(missing.join(" and "))
}

/// Makes the clients; nothing is asked of the store yet.
pub(super) fn connect(address: &BucketAddress, variables: BucketVariables<'_>) -> Result<Connected, Error> {
    let failed = |reason: String| Error::Unavailable { location: address.url(), reason };
    if let Some(missing) = missing_credentials(variables) {
        return Err(failed(format!("there are no credentials for it: the environment has no {missing}")));
    }
    let build = |retried| builder(address, variables, retried).build().map_err(|error| failed(error.to_string()));
    let (reads, writes) = (build(READS_RETRIED)?, build(WRITES_RETRIED)?);
    let client = ReqwestConnector::default().connect(&options(address)).map_err(|error| failed(error.to_string()))?;
    let part_copies = PartCopies::new(AmazonS3::clone(&writes), client, &address.bucket);
    Ok(Connected { reads: Arc::new(reads), writes: Arc::new(writes), part_copies })
}

fn builder(address: &BucketAddress, variables: BucketVariables<'_>, retried: Duration) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new();
    for (name, key) in VARIABLES {
        if let Some(value) = variables(name).filter(|value| !value.is_empty()) {
            builder = builder.with_config(*key, value);
        }
    }
    builder = builder
        .with_bucket_name(&address.bucket)
        .with_allow_http(address.allow_http)
        .with_client_options(options(address))
        .with_retry(retry(retried))
        // What arrives otherwise than it was sent is refused, and what is stored can be held against it later.
        .with_checksum_algorithm(Checksum::SHA256)
        .with_disable_bulk_delete(true);
    if let Some(region) = &address.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &address.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder
}

fn options(address: &BucketAddress) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(address.allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        // A body takes as long as it takes; what counts is that it goes on.
        .with_timeout_disabled()
}

fn retry(retry_timeout: Duration) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: 20, retry_timeout }
}
