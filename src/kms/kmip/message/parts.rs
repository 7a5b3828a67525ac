//! What messages are made of, in the order of the standard (KMIP 1.4, sections 4, 6 and 9).

use kmip_protocol::types::{
    common::{CryptographicAlgorithm, CryptographicParameters, Data, Operation, UniqueIdentifier},
    request::RequestHeader,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};

// Requests.

#[derive(Serialize)]
#[serde(rename = "0x420078")]
pub(super) struct Message<P>(pub(super) RequestHeader, pub(super) Item<P>);

#[derive(Serialize)]
#[serde(rename = "0x42000F")]
pub(super) struct Item<P>(pub(super) Operation, pub(super) P);

/// KMIP 1.4, section 4.29: Encrypt.
#[derive(Serialize)]
#[serde(rename = "0x420079")]
pub(super) struct Encrypt(
    pub(super) UniqueIdentifier,
    pub(super) CryptographicParameters,
    pub(super) Data,
    pub(super) Nonce,
    pub(super) Aad,
);

/// KMIP 1.4, section 4.30: Decrypt.
#[derive(Serialize)]
#[serde(rename = "0x420079")]
pub(super) struct Decrypt(
    pub(super) UniqueIdentifier,
    pub(super) CryptographicParameters,
    pub(super) Data,
    pub(super) Nonce,
    pub(super) Aad,
    pub(super) Tag,
);

/// IV/Counter/Nonce
#[derive(Serialize)]
#[serde(rename = "Transparent:0x42003D")]
pub(super) struct Nonce(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

/// Authenticated Encryption Additional Data
#[derive(Serialize)]
#[serde(rename = "Transparent:0x4200FE")]
pub(super) struct Aad(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

/// Authenticated Encryption Tag
#[derive(Serialize)]
#[serde(rename = "Transparent:0x4200FF")]
pub(super) struct Tag(#[serde(with = "serde_bytes")] pub(super) Vec<u8>);

// Responses. The decoder goes by the order of the standard: what stands before something that is read must be named.

#[derive(Deserialize)]
#[serde(rename = "0x42007B")]
pub(super) struct Response<P> {
    #[serde(rename = "0x42007A")]
    _head: Option<IgnoredAny>,
    #[serde(rename = "0x42000F")]
    pub(super) item: Answer<P>,
}

#[derive(Deserialize)]
#[serde(rename = "0x42000F")]
pub(super) struct Answer<P> {
    #[serde(rename = "0x42005C")]
    _operation: Option<IgnoredAny>,
    #[serde(rename = "0x420093")]
    _batch_item: Option<IgnoredAny>,
    #[serde(rename = "0x42007F")]
    pub(super) status: Status,
    #[serde(rename = "0x42007E")]
    pub(super) reason: Option<Reason>,
    #[serde(rename = "0x42007D")]
    pub(super) message: Option<String>,
    #[serde(rename = "0x420006")]
    _correlation: Option<IgnoredAny>,
    #[serde(rename = "0x42007C")]
    pub(super) payload: Option<P>,
}

#[derive(Deserialize, PartialEq)]
pub(super) enum Status {
    #[serde(rename = "0x00000000")]
    Success,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(super) enum Reason {
    #[serde(rename = "0x00000001")]
    ItemNotFound,
    #[serde(rename = "0x00000003")]
    AuthenticationNotSuccessful,
    #[serde(rename = "0x00000005")]
    OperationNotSupported,
    #[serde(rename = "0x00000008")]
    FeatureNotSupported,
    #[serde(rename = "0x0000000C")]
    PermissionDenied,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename = "0x42007C")]
pub(super) struct Located {
    #[serde(rename = "0x4200D5")]
    _count: Option<IgnoredAny>,
    #[serde(rename = "0x420094", default)]
    pub(super) unique_identifiers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename = "0x42007C")]
pub(super) struct Identified {
    #[serde(rename = "0x420057")]
    _kind: Option<IgnoredAny>,
    #[serde(rename = "0x420094")]
    pub(super) unique_identifier: String,
}

#[derive(Deserialize)]
#[serde(rename = "0x42007C")]
pub(super) struct Encrypted {
    #[serde(rename = "0x420094")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "0x4200C2", with = "serde_bytes")]
    pub(super) data: Vec<u8>,
    #[serde(rename = "0x42003D", default)]
    pub(super) nonce: Option<serde_bytes::ByteBuf>,
    #[serde(rename = "0x4200D6")]
    _correlation: Option<IgnoredAny>,
    #[serde(rename = "0x4200FF", default)]
    pub(super) tag: Option<serde_bytes::ByteBuf>,
}

#[derive(Deserialize)]
#[serde(rename = "0x42007C")]
pub(super) struct Got {
    #[serde(rename = "0x420057")]
    _kind: Option<IgnoredAny>,
    #[serde(rename = "0x420094")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "0x42008F")]
    pub(super) symmetric_key: Option<SymmetricKey>,
}

#[derive(Deserialize)]
#[serde(rename = "0x42008F")]
pub(super) struct SymmetricKey {
    #[serde(rename = "0x420040")]
    pub(super) key_block: KeyBlock,
}

#[derive(Deserialize)]
#[serde(rename = "0x420040")]
pub(super) struct KeyBlock {
    #[serde(rename = "0x420042")]
    pub(super) format: KeyFormat,
    #[serde(rename = "0x420041")]
    _compression: Option<IgnoredAny>,
    #[serde(rename = "0x420045")]
    _value: Option<IgnoredAny>,
    #[serde(rename = "0x420028")]
    pub(super) algorithm: Option<CryptographicAlgorithm>,
    #[serde(rename = "0x42002A")]
    pub(super) length_bits: Option<i32>,
}

#[derive(Deserialize, PartialEq)]
pub(super) enum KeyFormat {
    #[serde(rename = "0x00000001")]
    Raw,
    #[serde(other)]
    Other,
}
