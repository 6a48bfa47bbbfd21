//! What a client may touch: the directories that its manifest names, what it may report as an error about them, and the
//! directories of its devices' backends, to read.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Most backends of a client.
const BACKENDS: usize = 16;

/// The paths that a client may touch.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    prefixes: Vec<String>,
    /// Directory of a device, and of its backend.
    backends: Vec<(String, String)>,
}

impl Grant {
    /// The directories `prefixes`, parted by commas, all below the domain's own directory.
    #[must_use]
    pub fn new(prefixes: &str) -> Self {
        let is_own = |prefix: &&str| !prefix.starts_with('/') && is_path(prefix);
        let prefixes = prefixes.split(',').map(str::trim).filter(is_own);
        Self { prefixes: prefixes.map(String::from).collect(), backends: Vec::new() }
    }

    /// Whether the client may read, list and watch a node.
    #[must_use]
    pub fn may_read(&self, path: &str) -> bool {
        let mut backends = self.backends.iter().map(|(_, backend)| backend.as_str());
        is_path(path) && (self.is_own(path) || backends.any(|backend| is_below(path, backend)))
    }

    /// Whether the client may write and remove a node. Of a device, which domain has its backend is for domain 0 alone to
    /// say: who writes that could grant pages to any domain.
    #[must_use]
    pub fn may_write(&self, path: &str) -> bool {
        let mut names = path.split('/');
        let is_free = match (names.next(), names.nth(2)) {
            (Some("device"), name) => !matches!(name, None | Some("backend" | "backend-id")),
            _ => true,
        };
        is_path(path) && is_free && self.is_own(path)
    }

    /// Whether `path` is the directory of a device that the client has.
    #[must_use]
    pub fn has_device(&self, path: &str) -> bool {
        path.starts_with("device/") && path.split('/').count() == 3 && self.may_read(path)
    }

    /// Lets the client read the directory of its device's backend.
    pub fn add_backend(&mut self, device: &str, backend: &str) {
        self.backends.retain(|(known, _)| known != device);
        if self.backends.len() < BACKENDS {
            self.backends.push((String::from(device), String::from(backend)));
        }
    }

    /// Takes back what was added.
    pub fn forget_backends(&mut self) {
        self.backends.clear();
    }

    fn is_own(&self, path: &str) -> bool {
        let below = |prefix: &String| {
            is_below(path, prefix)
                || path.strip_prefix("error/").is_some_and(|rest| is_below(rest, prefix))
        };
        self.prefixes.iter().any(below)
    }
}

/// The backend's directory and domain, if what XenStore says of them agrees.
#[must_use]
pub fn backend(path: &[u8], domain: &[u8]) -> Option<(String, u16)> {
    // The numbers from 0x7ff0 on are reserved (Xen public/xen.h).
    let domain = xen::number::decimal(domain, 0x7fef)? as u16;
    let path = core::str::from_utf8(path).ok().filter(|path| is_path(path))?;
    let is_its = path.starts_with(&format!("/local/domain/{domain}/backend/"));
    is_its.then(|| (String::from(path), domain))
}

fn is_path(path: &str) -> bool {
    xen::store::is_path(path.as_bytes())
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{Grant, backend};

    const BACKEND: &str = "/local/domain/0/backend/vif/7/0";

    #[test]
    fn a_client_touches_its_directories_only() {
        let grant = Grant::new("device/vif/0, data/net");
        for path in ["device/vif/0", "device/vif/0/state", "data/net/x", "error/device/vif/0/error"]
        {
            assert!(grant.may_read(path), "{path}");
        }
        for path in [
            "",
            "device",
            "device/vif",
            "device/vif/01",
            "device/vif/1/state",
            "data",
            "error",
            "error/device/vbd/1/error",
            "/local/domain/7/device/vif/0",
            "control/shutdown",
            "device/vif/0/../1",
            "device/vif/0/",
            "error/error/device/vif/0",
            BACKEND,
        ] {
            assert!(!grant.may_read(path), "{path}");
            assert!(!grant.may_write(path), "{path}");
        }
    }

    #[test]
    fn who_has_the_backend_is_not_for_the_client_to_say() {
        let grant = Grant::new("device/vif/0,device/vbd,device");
        for path in [
            "device",
            "device/vif",
            "device/vif/0",
            "device/vif/0/backend",
            "device/vif/0/backend-id",
            "device/vbd/1/backend/x",
        ] {
            assert!(grant.may_read(path), "{path}");
            assert!(!grant.may_write(path), "{path}");
        }
        assert!(grant.may_write("device/vif/0/state"));
        assert!(grant.may_write("error/device/vif/0/error"));
    }

    #[test]
    fn a_backend_can_be_read_but_not_written() {
        let mut grant = Grant::new("device/vif/0");
        grant.add_backend("device/vif/0", BACKEND);
        assert!(grant.may_read("/local/domain/0/backend/vif/7/0/state"));
        assert!(!grant.may_read("/local/domain/0/backend/vif/7/01/state"));
        assert!(!grant.may_write("/local/domain/0/backend/vif/7/0/state"));
        grant.add_backend("device/vif/0", "/local/domain/3/backend/vif/7/0");
        assert!(!grant.may_read(BACKEND));
        grant.forget_backends();
        assert!(!grant.may_read("/local/domain/3/backend/vif/7/0"));
    }

    #[test]
    fn devices_are_three_names_deep() {
        let grant = Grant::new("device/vbd,data");
        assert!(grant.has_device("device/vbd/51712"));
        for path in ["device/vbd", "device/vbd/1/state", "device/vif/0", "data/a/b"] {
            assert!(!grant.has_device(path), "{path}");
        }
    }

    #[test]
    fn a_backend_is_where_its_domain_is() {
        let known = backend(BACKEND.as_bytes(), b"0");
        assert_eq!(known.map(|(_, domain)| domain), Some(0));
        for (path, domain) in [
            (BACKEND, "1"),
            (BACKEND, ""),
            (BACKEND, "-1"),
            (BACKEND, "65536"),
            ("/local/domain/0/device/vif/0", "0"),
            ("local/domain/0/backend/x", "0"),
            ("/local/domain/0/backend/", "0"),
            ("/local/domain/32752/backend/x", "32752"),
        ] {
            assert_eq!(backend(path.as_bytes(), domain.as_bytes()), None, "{path} {domain}");
        }
        assert_eq!(backend(b"/local/domain/0/backend/\xff", b"0"), None);
    }
}
