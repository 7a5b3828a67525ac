//! What each problem means and what can be done, for people: the words of documents and of pages.

use crate::base::ErrorCode;

/// The words for one problem.
pub(super) struct Text {
    /// A few words.
    pub title: &'static str,
    /// What it means, in a sentence for a supervisor.
    pub meaning: &'static str,
    /// What can be done, and by whom.
    pub advice: &'static str,
}

/// What can be done about a problem.
#[must_use]
pub fn advice(code: ErrorCode) -> &'static str {
    of(code).advice
}

/// The words for `code`.
#[rustfmt::skip]
pub(super) fn of(code: ErrorCode) -> Text {
    let (title, meaning, advice) = match code {
        ErrorCode::Unauthenticated => (
            "Who is asking?",
            "The request does not say who sends it, or says it in a way that is not accepted.",
            "Sign in again, or ask whoever runs the recordings for access."),
        ErrorCode::Forbidden => (
            "Not allowed",
            "Whoever sent the request may not do this.",
            "Ask whoever runs the recordings for the right to do it. A server without sign-in answers only on its own machine, under the names localhost, 127.0.0.1 and [::1]."),
        ErrorCode::LinkExpired => (
            "The link has expired",
            "The signed link was good once and is not any more.",
            "Ask for a new link."),
        ErrorCode::RecordingNotFound => (
            "No such recording",
            "There is no recording of this ID, or none that you may know of.",
            "Check the ID for typing errors; IDs differ in capital and small letters."),
        ErrorCode::CatalogueUnavailable => (
            "The catalogue does not answer",
            "The database that lists the recordings cannot be asked at the moment.",
            "Try again shortly. The operator should see to the database; recordings that are sealed go on playing meanwhile."),
        ErrorCode::StorageUnavailable => (
            "The storage does not answer",
            "The place where the recordings lie cannot be read at the moment.",
            "Try again shortly. The operator should see to the disk or object store."),
        ErrorCode::MediaMissing => (
            "The recording's file is gone",
            "The catalogue lists the recording, and its file is not where it should be.",
            "The operator should restore the file from a backup. It can be put back as it was, sealed."),
        ErrorCode::UnsupportedFormat => (
            "Sealed by a newer version",
            "The recording's file has a format that this version does not read.",
            "The operator should update sealtape."),
        ErrorCode::EncryptionDisabled => (
            "Encryption is switched off",
            "The recording is sealed, and encryption is switched off, so it cannot be opened.",
            "The operator can switch encryption on again with `sealtape encryption enable`. Nothing is lost."),
        ErrorCode::KeysUnavailable => (
            "The key cannot be fetched",
            "The key that this recording needs is not loaded, and the database or key manager cannot be asked for it.",
            "Try again shortly. The operator should see to the database or key manager."),
        ErrorCode::KeyMissing => (
            "The key is missing",
            "The recording is sealed, and no key here opens it.",
            "The operator should bring back the key with this fingerprint, from a backup of the system that sealed the recording."),
        ErrorCode::KeyDeactivated => (
            "The key is deactivated",
            "The key that opens this recording was deactivated.",
            "The operator can activate it again, if that is wanted."),
        ErrorCode::RecordingCorrupt => (
            "The recording is damaged",
            "The recording's file is not what was written: it was damaged or changed, and is not played.",
            "Keep the file as it is and tell the operator: it should be restored from a backup, and how it came to be changed be looked into."),
        ErrorCode::PreconditionFailed => (
            "The recording is another one by now",
            "A condition of the request does not hold.",
            "Load the recording again from its start."),
        ErrorCode::RangeNotSatisfiable => (
            "Past the end",
            "The request asks for a part that lies past the end of the recording.",
            "Ask for a part within its length, which Content-Range tells."),
        ErrorCode::AuditUnavailable => (
            "The playback record cannot be written",
            "Every playback is put on record, and that is not possible at the moment.",
            "The operator should see to the disk that holds the playback record."),
        ErrorCode::Overloaded => (
            "Too much at once",
            "The server has as much to do as it can.",
            "Try again shortly."),
        ErrorCode::NoActiveKey => (
            "No key is active",
            "Encryption is switched on and no key is active, so that nothing new can be sealed.",
            "The operator should generate a key with `sealtape keys generate`."),
        ErrorCode::StorageFull => (
            "No room is left",
            "The place where recordings lie is full.",
            "The operator should make room."),
        ErrorCode::RecordingHeld => (
            "Under legal hold",
            "The recording must not be deleted.",
            "Whoever set the hold can release it."),
        ErrorCode::RecordingInProgress => (
            "Being recorded",
            "The recording is being written at the moment, and cannot be deleted before its end.",
            "Try again when its recorder has come to its end."),
        ErrorCode::PlainNotAllowed => (
            "Not sealed",
            "The recording is kept in plain, and plain recordings are not played here.",
            "The operator can allow plain recordings with the setting `encryption.allow_plain`."),
        ErrorCode::UriTooLong => (
            "The address is too long",
            "The address asked for is longer than the server reads.",
            "Ask for a shorter one."),
        ErrorCode::BadRequest => (
            "The request makes no sense",
            "The server cannot read the request.",
            "Check its parts against the description of the interface."),
        ErrorCode::NotFound => (
            "No such page",
            "There is nothing at this address.",
            "Check the address for typing errors."),
        ErrorCode::MethodNotAllowed => (
            "Not done this way",
            "The address exists and does not answer this method.",
            "The header Allow lists the methods that it answers."),
        ErrorCode::RecordingExists => (
            "The ID is taken",
            "A recording of this ID exists, and recordings are never overwritten.",
            "Choose another ID."),
        ErrorCode::MediaTooLarge => (
            "Too long",
            "The recording is longer than one may be here.",
            "Split it, or ask the operator to raise the limit."),
        ErrorCode::UnsupportedMediaType => (
            "Not a media type",
            "The type of the body is not one that can be kept.",
            "Send a media type such as audio/wav, of at most 79 characters."),
        ErrorCode::HeadersTooLarge => (
            "The request head is too large",
            "The request's headers are longer than the server reads.",
            "Send fewer or shorter headers."),
        ErrorCode::Internal => (
            "A fault in the server",
            "Something went wrong that should not.",
            "Report the request ID to the operator, who finds it in the log."),
    };
    Text { title, meaning, advice }
}
