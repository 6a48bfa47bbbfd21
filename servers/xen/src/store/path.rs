//! Which paths XenStore takes.

/// Whether `path` can name a node: letters, digits and `-/_@:` only, no empty component, no `/` at the end (but for
/// the root itself), and not too long.
#[must_use]
pub fn is_path(path: &[u8]) -> bool {
    if path == b"/" {
        return true;
    }
    let components = path.strip_prefix(b"/").unwrap_or(path);
    path.len() <= super::PATH && components.split(|byte| *byte == b'/').all(is_component)
}

fn is_component(component: &[u8]) -> bool {
    let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_@:".contains(byte);
    !component.is_empty() && component.iter().all(is_legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn paths_are_told_from_what_is_none() {
        for path in ["/", "/local/domain/1", "device/vif/0", "a", "@releaseDomain", "/a-b_c:d"] {
            assert!(is_path(path.as_bytes()), "{path}");
        }
        for wrong in ["", "//", "/a/", "a//b", "/a b", "a\0", "a.b", "/a/../é"] {
            assert!(!is_path(wrong.as_bytes()), "{wrong}");
        }
        assert!(is_path(&vec![b'a'; 2048]));
        assert!(!is_path(&vec![b'a'; 2049]));
    }
}
