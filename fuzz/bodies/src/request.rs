//! The head of an HTTP request of any bytes. What is accepted is accepted in the same way without what follows it.

#[path = "../../../servers/httpd/src/request.rs"]
#[allow(dead_code)]
mod request;

use request::{Parsed, parse};

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    if let Parsed::Request(request, length) = parse(bytes) {
        let alone = bytes.get(..length).expect("a head is longer than its bytes");
        assert_eq!(parse(alone), Parsed::Request(request.clone(), length));
        assert!(request.path.starts_with('/'));
        assert!(!request.path.split('/').any(|part| part == ".."));
    }
}
