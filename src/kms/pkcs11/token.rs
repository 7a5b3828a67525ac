//! One session with a token: keys by their labels, AES-GCM with them, new ones, and other labels for old ones.

use std::time::Duration;

use cryptoki::{
    error::{Error as CryptokiError, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::RawAuthPin,
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    NonceMaker, Pkcs11Error, Pkcs11Settings,
    module::{Module, say},
    refused_pins::RefusedPins,
};
use crate::crypto::{Key, WrappedRowKey, random};
use crate::kms::private_file::{FileError, read_private};

const TAG_BITS: u64 = 128;
/// Before it is tried again. What is not there the last time is not there.
const PAUSES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(150)];

/// A session with somebody logged in.
pub(super) struct Token<'a> {
    session: Session,
    settings: &'a Pkcs11Settings,
}

/// A secret key in it.
pub(super) struct TokenKey {
    handle: ObjectHandle,
    /// What rows call it.
    pub(super) name: String,
    /// Whether that name stays when its label changes.
    has_id: bool,
}

impl Module {
    /// Has `work` done in a session, and again when the token may have changed under the module's feet: it may be about to
    /// come back, or another process may be changing it just now.
    pub(super) fn in_session<T>(
        &mut self,
        settings: &Pkcs11Settings,
        is_writing: bool,
        work: impl Fn(&Token) -> Result<T, Pkcs11Error>,
    ) -> Result<T, Pkcs11Error> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.open(settings, is_writing).and_then(|token| work(&token)) {
                Err(error) if error.may_be_stale() => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    self.reset();
                    std::thread::sleep(*pause);
                }
                outcome => return outcome,
            }
        }
    }

    fn open<'a>(&mut self, settings: &'a Pkcs11Settings, is_writing: bool) -> Result<Token<'a>, Pkcs11Error> {
        let failed = |error: CryptokiError| failure(&settings.token, &error);
        let context = self.context()?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for slot in context.get_slots_with_token().map_err(failed)? {
            // A slot that was emptied between the two calls has no token.
            let Ok(info) = context.get_token_info(slot) else { continue };
            if info.token_initialized() && info.label() == settings.token {
                found.push((slot, info.protected_authentication_path()));
            } else if info.token_initialized() {
                others.push(info.label().to_owned());
            }
        }
        let (slot, is_pin_elsewhere): (Slot, bool) = match found[..] {
            [one] => one,
            [] => {
                let (token, module) = (settings.token.clone(), self.path().to_owned());
                return Err(Pkcs11Error::NoToken { token, module, found: others });
            }
            _ => {
                let (token, module) = (settings.token.clone(), self.path().to_owned());
                return Err(Pkcs11Error::SeveralTokens { token, module });
            }
        };
        let session = if is_writing { context.open_rw_session(slot) } else { context.open_ro_session(slot) };
        let session = session.map_err(failed)?;
        self.log_in(&session, settings, is_pin_elsewhere)?;
        Ok(Token { session, settings })
    }

    /// A PIN that was refused is not tried twice.
    fn log_in(&self, session: &Session, settings: &Pkcs11Settings, is_pin_elsewhere: bool) -> Result<(), Pkcs11Error> {
        let token = || settings.token.clone();
        let refused = RefusedPins::of(self.path(), &settings.token);
        let pin = match &settings.pin_file {
            Some(_) if is_pin_elsewhere => None,
            Some(path) => {
                let mut pin = read_private(path)?;
                while pin.last().is_some_and(|byte| b"\r\n".contains(byte)) {
                    pin.pop();
                }
                if pin.is_empty() {
                    return Err(FileError::Content { path: path.clone(), what: "holds no PIN".into() }.into());
                }
                Some(pin)
            }
            None => None,
        };
        if pin.as_ref().is_some_and(|pin| refused.has(pin)) {
            return Err(Pkcs11Error::PinRefusedBefore { token: token() });
        }
        let outcome = match &pin {
            Some(pin) => session.login_with_raw(UserType::User, &RawAuthPin::from(Box::new(pin.to_vec()))),
            None => session.login(UserType::User, None),
        };
        match outcome {
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                refused.forget();
                Ok(())
            }
            Err(CryptokiError::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::PinLocked { token: token() }),
            Err(
                ref error @ CryptokiError::Pkcs11(
                    RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
                    _,
                ),
            ) => {
                if let Some(pin) = pin {
                    refused.remember(pin);
                }
                Err(Pkcs11Error::PinRefused { token: token(), code: say(error) })
            }
            Err(error) => Err(failure(&settings.token, &error)),
        }
    }
}

impl Token<'_> {
    /// The secret key of that label; none when there is none.
    pub(super) fn find(&self, label: &str) -> Result<Option<TokenKey>, Pkcs11Error> {
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label.as_bytes().to_vec())];
        let found = self.session.find_objects(&template).map_err(|error| self.failed(&error))?;
        let (token, label) = (self.settings.token.clone(), label.to_owned());
        match found[..] {
            [] => Ok(None),
            [handle] => {
                if !self.is_aes_256(handle)? {
                    return Err(Pkcs11Error::OtherKind { token, label });
                }
                let id = self.id(handle)?;
                let name = if id.is_empty() { format!("{NAME_PREFIX}object={label}") } else { name_of(&id) };
                Ok(Some(TokenKey { handle, name, has_id: !id.is_empty() }))
            }
            _ => Err(Pkcs11Error::SeveralKeys { token, label }),
        }
    }

    /// The next one, which rows are to be moved to; none when there is none.
    pub(super) fn next(&self) -> Result<Option<TokenKey>, Pkcs11Error> {
        let (token, label) = (self.settings.token.clone(), self.settings.next_label());
        match self.find(&label)? {
            Some(key) if !key.has_id => Err(Pkcs11Error::NoId { token, label }),
            other => Ok(other),
        }
    }

    /// The one in place and the next one, as far as they are there, each or why it cannot be used.
    pub(super) fn both(&self) -> Result<Vec<Result<TokenKey, Pkcs11Error>>, Pkcs11Error> {
        let mut both = Vec::new();
        for label in [&self.settings.label, &self.settings.next_label()] {
            match self.find(label) {
                Ok(key) => both.extend(key.map(Ok)),
                // Looked for again, for both.
                Err(error) if error.may_be_stale() => return Err(error),
                Err(error) => both.push(Err(error)),
            }
        }
        Ok(both)
    }

    /// One of those two, by what rows call it.
    pub(super) fn named(&self, name: &str) -> Result<TokenKey, Pkcs11Error> {
        let mut trouble = None;
        for found in self.both()? {
            match found {
                Ok(key) if key.name == name => return Ok(key),
                Ok(_) => {}
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        Err(trouble.unwrap_or_else(|| self.no_key(&self.settings.label)))
    }

    pub(super) fn no_key(&self, label: &str) -> Pkcs11Error {
        Pkcs11Error::NoKey { token: self.settings.token.clone(), label: label.to_owned() }
    }

    /// Wraps a database key.
    pub(super) fn wrap(&self, by: &TokenKey, key: &Key, aad: &[u8]) -> Result<WrappedRowKey, Pkcs11Error> {
        let given: [u8; 12] = match self.settings.nonce {
            NonceMaker::Host => random()?,
            NonceMaker::Token => [0; 12],
        };
        let mut nonce = given;
        let params = GcmParams::new(&mut nonce, aad, TAG_BITS.into()).map_err(|error| self.failed(&error))?;
        let sealed = self.session.encrypt(&Mechanism::AesGcm(params), by.handle, key.expose());
        let sealed = sealed.map_err(|error| self.failed(&error))?;
        // Some tokens write the nonce that they made where ours stood, others after the tag.
        let (ciphertext, nonce) = match sealed.split_first_chunk::<48>() {
            Some((ciphertext, [])) => (*ciphertext, nonce.to_vec()),
            Some((ciphertext, after)) if [12, 16].contains(&after.len()) => (*ciphertext, after.to_vec()),
            Some(_) | None => return Err(self.unexpected("C_Encrypt", sealed.len())),
        };
        match self.settings.nonce {
            NonceMaker::Host if nonce != given => {
                Err(self.nonce_trouble("it made a nonce of its own", "set definition_key.pkcs11.nonce to \"token\""))
            }
            // The same nonce a second time would give the key away.
            NonceMaker::Token if nonce == given => {
                Err(self.nonce_trouble("it makes no nonces of its own", "set definition_key.pkcs11.nonce to \"host\""))
            }
            NonceMaker::Host | NonceMaker::Token => Ok(WrappedRowKey { nonce, ciphertext }),
        }
    }

    /// Unwraps a database key; none when it does not verify.
    pub(super) fn unwrap(
        &self,
        by: &TokenKey,
        wrapped: &WrappedRowKey,
        aad: &[u8],
    ) -> Result<Option<Key>, Pkcs11Error> {
        let mut nonce = wrapped.nonce.clone();
        let params = GcmParams::new(&mut nonce, aad, TAG_BITS.into()).map_err(|error| self.failed(&error))?;
        match self.session.decrypt(&Mechanism::AesGcm(params), by.handle, &wrapped.ciphertext) {
            Ok(opened) => {
                let opened = Zeroizing::new(opened);
                let mut bytes: [u8; 32] =
                    opened.as_slice().try_into().map_err(|_| self.unexpected("C_Decrypt", opened.len()))?;
                let key = Key::take(&mut bytes);
                bytes.zeroize();
                Ok(Some(key))
            }
            Err(CryptokiError::Pkcs11(RvError::EncryptedDataInvalid | RvError::SignatureInvalid, _)) => Ok(None),
            // Tokens have many words for a tag that does not verify; one that still does its work means that.
            Err(
                error @ CryptokiError::Pkcs11(
                    RvError::GeneralError | RvError::FunctionFailed | RvError::DataInvalid | RvError::DeviceError,
                    _,
                ),
            ) => {
                if self.does_work(by) {
                    Ok(None)
                } else {
                    Err(self.failed(&error))
                }
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// That what was wrapped with `aad` is not unwrapped with another. Once is enough: a token does it or does not.
    pub(super) fn check_bound(&self, by: &TokenKey, wrapped: &WrappedRowKey, aad: &[u8]) -> Result<(), Pkcs11Error> {
        let another = [aad, b"another"].concat();
        match self.unwrap(by, wrapped, &another)? {
            Some(_) => Err(Pkcs11Error::NotBound { token: self.settings.token.clone() }),
            None => Ok(()),
        }
    }

    /// Whether the key wraps and unwraps now.
    fn does_work(&self, by: &TokenKey) -> bool {
        let tried = || {
            let key = Key::generate()?;
            let wrapped = self.wrap(by, &key, b"")?;
            let mut nonce = wrapped.nonce;
            let params = GcmParams::new(&mut nonce, b"", TAG_BITS.into()).map_err(|error| self.failed(&error))?;
            let opened = self.session.decrypt(&Mechanism::AesGcm(params), by.handle, &wrapped.ciphertext);
            opened.map(Zeroizing::new).map_err(|error| self.failed(&error))
        };
        tried().is_ok()
    }

    /// Makes a key that never leaves the token. A second time with the same `id` it finds the one that was made: that a
    /// token says that it failed does not tell that there is none.
    pub(super) fn generate(&self, label: &str, id: [u8; 16]) -> Result<TokenKey, Pkcs11Error> {
        let name = name_of(&id);
        if let Some(made) = self.find(label)?.filter(|key| key.name == name) {
            return Ok(made);
        }
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32_u64.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
        ];
        // Nothing that can fail comes after it: else a second one would be made.
        let made = self.session.generate_key(&Mechanism::AesKeyGen, &template);
        made.map(|handle| TokenKey { handle, name, has_id: true }).map_err(|error| self.failed(&error))
    }

    /// Gives a key another label.
    pub(super) fn relabel(&self, key: &TokenKey, label: &str) -> Result<(), Pkcs11Error> {
        let label = Attribute::Label(label.as_bytes().to_vec());
        self.session.update_attributes(key.handle, &[label]).map_err(|error| self.failed(&error))
    }

    fn id(&self, handle: ObjectHandle) -> Result<Vec<u8>, Pkcs11Error> {
        let attributes = self.session.get_attributes(handle, &[AttributeType::Id]);
        let attributes = attributes.map_err(|error| self.failed(&error))?;
        let id = |attribute| if let Attribute::Id(id) = attribute { Some(id) } else { None };
        Ok(attributes.into_iter().find_map(id).unwrap_or_default())
    }

    fn is_aes_256(&self, handle: ObjectHandle) -> Result<bool, Pkcs11Error> {
        let attributes = self.session.get_attributes(handle, &[AttributeType::KeyType, AttributeType::ValueLen]);
        let attributes = attributes.map_err(|error| self.failed(&error))?;
        // What a token does not say, its first use says.
        Ok(attributes.iter().all(|attribute| match attribute {
            Attribute::KeyType(kind) => *kind == KeyType::AES,
            Attribute::ValueLen(len) => **len == 32,
            _ => true,
        }))
    }

    fn failed(&self, error: &CryptokiError) -> Pkcs11Error {
        failure(&self.settings.token, error)
    }

    fn unexpected(&self, function: &str, len: usize) -> Pkcs11Error {
        Pkcs11Error::Failed {
            token: self.settings.token.clone(),
            function: function.into(),
            code: format!("it gave {len} bytes"),
            may_be_stale: false,
        }
    }

    fn nonce_trouble(&self, what: &str, advice: &'static str) -> Pkcs11Error {
        Pkcs11Error::Nonce { token: self.settings.token.clone(), what: what.into(), advice }
    }
}

/// What names of keys in tokens begin with.
pub(super) const NAME_PREFIX: &str = "pkcs11:";

/// Sorts what the module says.
fn failure(token: &str, error: &CryptokiError) -> Pkcs11Error {
    use RvError as Rv;
    let (token, code) = (token.to_owned(), say(error));
    let CryptokiError::Pkcs11(rv, function) = error else {
        return Pkcs11Error::Failed { token, function: "the module".into(), code, may_be_stale: false };
    };
    match rv {
        Rv::KeyFunctionNotPermitted | Rv::KeyTypeInconsistent => Pkcs11Error::NotPermitted { token, code },
        Rv::MechanismInvalid | Rv::MechanismParamInvalid => Pkcs11Error::NoGcm { token, code },
        rv => {
            let may_be_stale = matches!(
                rv,
                Rv::DeviceRemoved
                    | Rv::DeviceError
                    | Rv::DeviceMemory
                    | Rv::SessionHandleInvalid
                    | Rv::SessionClosed
                    | Rv::TokenNotPresent
                    | Rv::TokenNotRecognized
                    | Rv::SlotIdInvalid
                    | Rv::CryptokiNotInitialized
                    | Rv::KeyHandleInvalid
                    | Rv::ObjectHandleInvalid
                    | Rv::UserNotLoggedIn
                    | Rv::UserPinNotInitialized
                    | Rv::GeneralError
                    | Rv::FunctionFailed
            );
            Pkcs11Error::Failed { token, function: format!("C_{function:?}"), code: format!("{rv:?}"), may_be_stale }
        }
    }
}

fn name_of(id: &[u8]) -> String {
    format!("{NAME_PREFIX}id={}", hex(id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
