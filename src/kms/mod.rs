//! Adapters of [`crate::keys::DefinitionKeyHolder`]: where the key that wraps every database key is held.
//!
//! Start with [`FileDefinitionKeys`], the plainest of them, and [`DefinitionKeyKeeper`], what those have in common that
//! make keys. Knows nothing of databases and of when keys are needed.

mod cycle;
mod embedded;
mod error;
mod file;
mod keeper;
mod kmip;
mod pkcs11;
mod private_file;
mod several;

pub use cycle::CycleLock;
pub use embedded::EmbeddedDefinitionKey;
pub use error::Error;
pub use file::FileDefinitionKeys;
pub use keeper::DefinitionKeyKeeper;
pub use kmip::{KeyState as KmipKeyState, KmipDefinitionKeys, KmipError, KmipMode, KmipSettings, KmipTrouble};
pub use pkcs11::{NonceMaker, Pkcs11DefinitionKeys, Pkcs11Error, Pkcs11Settings};
pub use several::SeveralHolders;
