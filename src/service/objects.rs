//! Which objects of the store hold a recording's media, as its row says.

use crate::base::SealId;
use crate::catalogue::{Content, Recording, RecordingState};
use crate::media::{MediaKind, MediaObject, Stage};

/// The object of a recording's media at that stage: of the sealing that the row names, or, for [`Stage::Next`], of the
/// one that is to take its place.
pub(super) fn media_object(row: &Recording, stage: Stage) -> MediaObject {
    let [current, replacement] = sealings(&row.content);
    with_sealing(row, stage, if stage == Stage::Next { replacement } else { current })
}

/// Where a recording's media may lie that got as far as `state`, in the order in which it is looked for. One that is not
/// catalogued complete grows under its `….part` name, and may just have taken its final one; while another sealing takes
/// its place, either may be there.
pub(super) fn media_objects(row: &Recording, state: RecordingState) -> impl Iterator<Item = MediaObject> {
    let stages: &[Stage] = match state {
        RecordingState::Complete => &[Stage::Final],
        RecordingState::Recording { .. } | RecordingState::Unfinished => &[Stage::Part, Stage::Final],
    };
    let [current, replacement] = sealings(&row.content);
    let others = replacement.map(Some);
    stages.iter().flat_map(move |stage| {
        core::iter::once(current).chain(others).map(|sealing| with_sealing(row, *stage, sealing))
    })
}

fn with_sealing(row: &Recording, stage: Stage, sealing: Option<SealId>) -> MediaObject {
    let kind = if row.is_sealed() { MediaKind::Sealed } else { MediaKind::Plain };
    MediaObject { sealing, outside: row.content.outside().cloned(), ..MediaObject::media(row.id.clone(), kind, stage) }
}

/// What stores that never overwrite call what is there, and what is to take its place.
fn sealings(content: &Content) -> [Option<SealId>; 2] {
    match content {
        Content::Sealed { .. } => content.seal_ids(),
        // It is not known before the end.
        Content::Plain { digest, .. } => [(*digest != [0; 32]).then(|| SealId::of_plain(digest)), None],
    }
}
