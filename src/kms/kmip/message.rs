//! Messages of KMIP 1.2 to 1.4, as one request and one response. Operations and objects are those of `kmip-protocol`;
//! Encrypt and Decrypt, which it does not have, stand beside them here, on the same encoding (`kmip-ttlv`).
//!
//! Keys do not go through the encoder, whose buffers nobody wipes: their places in a message are filled, and emptied,
//! in the message itself. Start with [`Request`]; `parts` is what messages are made of.

mod parts;
#[cfg(test)]
mod tests;

use kmip_protocol::types::{
    common::{
        AttributeName, AttributeValue, BlockCipherMode, CryptographicAlgorithm, CryptographicParameters, Data,
        NameType, NameValue, ObjectType, Operation, State, TagLength, UniqueIdentifier,
    },
    request::{
        Attribute, BatchCount, ProtocolVersion, ProtocolVersionMajor, ProtocolVersionMinor, RequestHeader,
        RequestPayload, TemplateAttribute,
    },
    response,
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

use self::parts::{
    Aad, Answer, Decrypt, Encrypt, Encrypted, Got, Identified, Item, KeyFormat, Located, Message, Nonce, Reason,
    Response, Status, SymmetricKey, Tag,
};
use crate::crypto::{Key, WrappedRowKey};

/// The longest response that is read. A key with all its attributes takes a few hundred bytes.
pub(super) const RESPONSE_LEN_MAX: usize = 64 << 10;
/// Tag, type and length.
pub(super) const HEAD_LEN: usize = 8;

const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// A request, which may hold a key.
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// What a response says instead of an answer.
pub(super) enum Refusal {
    NotFound,
    Denied(String),
    NotSupported(String),
    Other(String),
    /// It is no response.
    Garbage(String),
}

impl Request {
    /// Names of objects, by one of them.
    pub(super) fn locate(name: &str) -> Result<Self, Refusal> {
        let kind = Attribute::ObjectType(ObjectType::SymmetricKey);
        Self::of("Locate", 2, RequestPayload::Locate(vec![kind, Attribute::Name(name.to_owned())]))
    }

    /// The state of a key.
    pub(super) fn state(id: &str) -> Result<Self, Refusal> {
        let names = vec![AttributeName("State".into())];
        Self::of("Get Attributes", 2, RequestPayload::GetAttributes(Some(named(id)), Some(names)))
    }

    /// A key.
    pub(super) fn get(id: &str) -> Result<Self, Refusal> {
        Self::of("Get", 2, RequestPayload::Get(Some(named(id)), None, None, None))
    }

    /// A key for AES-256 that encrypts and decrypts.
    pub(super) fn create(name: &str) -> Result<Self, Refusal> {
        let usage = AttributeName("Cryptographic Usage Mask".into());
        let attributes = vec![
            Attribute::CryptographicAlgorithm(CryptographicAlgorithm::AES),
            Attribute::CryptographicLength(256),
            Attribute(usage, None, AttributeValue::Integer(ENCRYPT_AND_DECRYPT)),
            Attribute::Name(name.to_owned()),
        ];
        let template = TemplateAttribute::unnamed(attributes);
        Self::of("Create", 2, RequestPayload::Create(ObjectType::SymmetricKey, template))
    }

    /// From then on it may be used.
    pub(super) fn activate(id: &str) -> Result<Self, Refusal> {
        Self::of("Activate", 2, RequestPayload::Activate(Some(named(id))))
    }

    /// Gives an object another name.
    pub(super) fn rename(id: &str, name: &str) -> Result<Self, Refusal> {
        let value = AttributeValue::Name(NameValue(name.to_owned()), NameType::UninterpretedTextString);
        let attribute = Attribute(AttributeName("Name".into()), None, value);
        Self::of("Modify Attribute", 2, RequestPayload::ModifyAttribute(Some(named(id)), attribute))
    }

    /// A database key to be wrapped.
    pub(super) fn encrypt(id: &str, nonce: [u8; 12], key: &Key, aad: &[u8]) -> Result<Self, Refusal> {
        let payload =
            Encrypt(named(id), parameters(), Data(vec![0; KEY_LEN]), Nonce(nonce.to_vec()), Aad(aad.to_vec()));
        let mut request = Self::of_parts("Encrypt", 4, Operation::Encrypt, payload)?;
        let place = place_of(&request.bytes, DATA).ok_or_else(|| Refusal::Garbage("no place for a key".into()))?;
        request.bytes[place..place + KEY_LEN].copy_from_slice(key.expose());
        Ok(request)
    }

    /// A database key to be unwrapped.
    pub(super) fn decrypt(id: &str, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<Self, Refusal> {
        let (ciphertext, tag) = wrapped.ciphertext.split_at(KEY_LEN);
        let (data, nonce) = (Data(ciphertext.to_vec()), Nonce(wrapped.nonce.clone()));
        let payload = Decrypt(named(id), parameters(), data, nonce, Aad(aad.to_vec()), Tag(tag.to_vec()));
        Self::of_parts("Decrypt", 4, Operation::Decrypt, payload)
    }

    fn of(operation: &'static str, minor_version: i32, payload: RequestPayload) -> Result<Self, Refusal> {
        let code = payload.operation();
        Self::of_parts(operation, minor_version, code, payload)
    }

    fn of_parts<P: Serialize>(
        operation: &'static str,
        minor_version: i32,
        code: Operation,
        payload: P,
    ) -> Result<Self, Refusal> {
        let version = ProtocolVersion(ProtocolVersionMajor(1), ProtocolVersionMinor(minor_version));
        let message = Message(RequestHeader(version, None, None, BatchCount(1)), Item(code, payload));
        let bytes = kmip_ttlv::to_vec(&message).map_err(|error| Refusal::Garbage(error.to_string()))?;
        Ok(Self { operation, bytes: Zeroizing::new(bytes) })
    }
}

/// The unique identifiers of what was located.
pub(super) fn located(response: &mut [u8]) -> Result<Vec<String>, Refusal> {
    Ok(payload::<Located>(response)?.unique_identifiers)
}

/// The unique identifier of what was created.
pub(super) fn created(response: &mut [u8]) -> Result<String, Refusal> {
    Ok(payload::<Identified>(response)?.unique_identifier)
}

/// That it was done.
pub(super) fn done(response: &mut [u8]) -> Result<(), Refusal> {
    payload::<Identified>(response).map(|_| ())
}

/// The state of a key, when it is told.
pub(super) fn state(response: &mut [u8]) -> Result<Option<State>, Refusal> {
    let attributes = payload::<response::GetAttributesResponsePayload>(response)?.attributes.unwrap_or_default();
    Ok(attributes.into_iter().find_map(|attribute| match attribute.value {
        AttributeValue::State(state) => Some(state),
        _ => None,
    }))
}

/// A key; none when it is another kind, or wrapped.
pub(super) fn got(response: &mut [u8]) -> Result<Option<Key>, Refusal> {
    let key = take_key(response, KEY_MATERIAL);
    let Some(SymmetricKey { key_block: block }) = payload::<Got>(response)?.symmetric_key else { return Ok(None) };
    let is_plain_aes = block.format == KeyFormat::Raw
        && block.algorithm.is_none_or(|algorithm| algorithm == CryptographicAlgorithm::AES)
        && block.length_bits.is_none_or(|bits| bits == 256)
        && !has_item(response, KEY_WRAPPING_DATA);
    Ok(key.filter(|_| is_plain_aes))
}

/// A wrapped database key, under the nonce that was given or that the key manager made.
pub(super) fn encrypted(response: &mut [u8], nonce: [u8; 12]) -> Result<WrappedRowKey, Refusal> {
    let Encrypted { data, nonce: made, tag, .. } = payload(response)?;
    let nonce = match made {
        Some(made) if [12, 16].contains(&made.len()) => made.into_vec(),
        Some(_) => return Err(Refusal::Garbage("a nonce of another length".into())),
        None => nonce.to_vec(),
    };
    // Some append the tag to the ciphertext, as the standard's older versions left it open.
    let whole: Vec<u8> = data.into_iter().chain(tag.unwrap_or_default().into_vec()).collect();
    let lengths = format!("{} bytes of ciphertext and tag, and not {}", whole.len(), KEY_LEN + TAG_LEN);
    Ok(WrappedRowKey { nonce, ciphertext: whole.try_into().map_err(|_| Refusal::Garbage(lengths))? })
}

/// A database key.
pub(super) fn decrypted(response: &mut [u8]) -> Result<Key, Refusal> {
    let key = take_key(response, DATA);
    payload::<Identified>(response)?;
    key.ok_or_else(|| Refusal::Garbage("no key of 32 bytes".into()))
}

fn payload<P: DeserializeOwned>(response: &[u8]) -> Result<P, Refusal> {
    check_lengths(response)?;
    let read: Response<P> = kmip_ttlv::from_slice(response).map_err(|error| {
        // Its words may hold what was read; where it was read is enough.
        let place = error.location();
        Refusal::Garbage(format!("a response of another form at {place}"))
    })?;
    let Answer { status, reason, message, payload, .. } = read.item;
    let message = message.unwrap_or_else(|| format!("{reason:?}"));
    match (status, reason) {
        (Status::Success, _) => payload.ok_or_else(|| Refusal::Garbage("a response without an answer".into())),
        (_, Some(Reason::ItemNotFound)) => Err(Refusal::NotFound),
        (_, Some(Reason::PermissionDenied | Reason::AuthenticationNotSuccessful)) => Err(Refusal::Denied(message)),
        (_, Some(Reason::OperationNotSupported | Reason::FeatureNotSupported)) => Err(Refusal::NotSupported(message)),
        _ => Err(Refusal::Other(message)),
    }
}

/// Whether no item is longer than what holds it, so that nothing is allocated by a length that nobody checked.
fn check_lengths(message: &[u8]) -> Result<(), Refusal> {
    let mut open = vec![(message, 0)];
    while let Some((items, depth)) = open.pop() {
        let Some((head, rest)) = items.split_at_checked(HEAD_LEN) else {
            if items.is_empty() {
                continue;
            }
            return Err(Refusal::Garbage("an item that is cut".into()));
        };
        let len = padded_len(head);
        let Some((value, after)) = len.and_then(|len| rest.split_at_checked(len)) else {
            return Err(Refusal::Garbage("an item that is longer than its message".into()));
        };
        open.push((after, depth));
        if head[3] == STRUCTURE {
            if depth == DEPTH_MAX {
                return Err(Refusal::Garbage("too many items within items".into()));
            }
            open.push((value, depth + 1));
        }
    }
    Ok(())
}

/// The length of a value, which is padded to eight bytes.
fn padded_len(head: &[u8]) -> Option<usize> {
    let len: [u8; 4] = head.get(4..HEAD_LEN)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(len)).ok()?.checked_next_multiple_of(8)
}

/// Takes a key of 32 bytes out of a message, and leaves zeros.
fn take_key(message: &mut [u8], tag: [u8; 3]) -> Option<Key> {
    let place = place_of(message, tag)?;
    let bytes = message.get_mut(place..place + KEY_LEN)?;
    let mut key = Key::zeroed();
    key.expose_mut().copy_from_slice(bytes);
    bytes.zeroize();
    Some(key)
}

/// Where the bytes of an item of 32 bytes begin: the first of that tag.
fn place_of(message: &[u8], tag: [u8; 3]) -> Option<usize> {
    let head = [tag[0], tag[1], tag[2], BYTES, 0, 0, 0, 32];
    message.windows(HEAD_LEN).position(|window| window == head).map(|at| at + HEAD_LEN)
}

fn has_item(message: &[u8], tag: [u8; 3]) -> bool {
    let head = [tag[0], tag[1], tag[2], STRUCTURE];
    message.windows(head.len()).any(|window| window == head)
}

fn named(id: &str) -> UniqueIdentifier {
    UniqueIdentifier(id.to_owned())
}

/// AES-GCM with a tag of 16 bytes.
fn parameters() -> CryptographicParameters {
    CryptographicParameters::default()
        .with_block_cipher_mode(BlockCipherMode::GCM)
        .with_cryptographic_algorithm(CryptographicAlgorithm::AES)
        .with_tag_length(TagLength(16))
}

const DATA: [u8; 3] = [0x42, 0x00, 0xC2];
const KEY_MATERIAL: [u8; 3] = [0x42, 0x00, 0x43];
const KEY_WRAPPING_DATA: [u8; 3] = [0x42, 0x00, 0x46];
const STRUCTURE: u8 = 1;
const BYTES: u8 = 8;
const ENCRYPT_AND_DECRYPT: i32 = 0x4 | 0x8;
const DEPTH_MAX: usize = 16;
