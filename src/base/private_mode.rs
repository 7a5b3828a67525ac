//! Whether a file of secrets is kept to those who are to read it.

/// Whether the permission bits `mode` of a file keep it to its owner; or, of a file of root's that somebody else reads,
/// to root and one group. That is how systemd's credentials look (an access list shows as the group's bits) and the
/// secrets that Kubernetes mounts (the group is the pod's own). `owner` and `reader` are numbers of users.
#[must_use]
pub fn is_private_mode(mode: u32, owner: u32, reader: u32) -> bool {
    let is_handed_out = owner == ROOT && reader != ROOT && mode & MORE_THAN_A_GROUP_READS == 0;
    mode & MORE_THAN_THE_OWNER == 0 || is_handed_out
}

const ROOT: u32 = 0;
const MORE_THAN_THE_OWNER: u32 = 0o077;
const MORE_THAN_A_GROUP_READS: u32 = 0o037;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_root_hands_out_may_be_read_by_a_group() {
        for (mode, owner, reader, is_private) in [
            (0o600, 1000, 1000, true),
            (0o400, 0, 0, true),
            (0o440, 0, 1000, true),
            (0o640, 0, 1000, true),
            (0o440, 1000, 1000, false),
            (0o440, 1001, 1000, false),
            (0o440, 0, 0, false),
            (0o460, 0, 1000, false),
            (0o450, 0, 1000, false),
            (0o444, 0, 1000, false),
            (0o404, 0, 1000, false),
        ] {
            assert_eq!(is_private_mode(mode, owner, reader), is_private, "{mode:o} of {owner}, read by {reader}");
        }
    }
}
