//! [`Request`]: the head of a request, judged.
//!
//! Invariant: parsing depends on the bytes alone and never panics; a head that is refused closes the connection, because
//! nobody can say where the next one begins.

use alloc::string::String;

use httparse::{EMPTY_HEADER, Error, Header, Status};

/// Most bytes of a head.
pub const HEAD: usize = 8192;
/// Most bytes of a target.
const TARGET: usize = 2048;
/// Most header fields.
const FIELDS: usize = 64;

ipc::state! {
    /// A request that can be answered.
    pub struct Request {
        /// Whether only the answer's head is wanted.
        pub is_head: bool,
        /// The path, without query, decoded.
        pub path: String,
        /// Whether the connection goes on after it.
        pub keep_alive: bool,
        /// Whether the client knows HTTP/1.1.
        pub is_modern: bool,
        /// The part of a file that is wanted.
        pub range: Option<Range>,
    }
    /// A part of a file, as a client names it.
    #[derive(Copy)]
    pub enum Range {
        /// From the first byte to the second, both included.
        FromTo(u64, u64),
        /// The last bytes.
        Last(u64),
    }
}

/// What the bytes of a head come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A request, and how many bytes its head has.
    Request(Request, usize),
    /// A status to refuse it with.
    Refused(u16),
}

/// Parses the head at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut fields = [EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(Status::Complete(length)) if length <= HEAD => match judge(&head) {
            Ok(request) => Parsed::Request(request, length),
            Err(status) => Parsed::Refused(status),
        },
        Ok(Status::Partial) if bytes.len() < HEAD => Parsed::Partial,
        // All of it is one line: the target is too long, not the fields.
        Ok(_) if !bytes.contains(&b'\n') => Parsed::Refused(414),
        Ok(_) | Err(Error::TooManyHeaders) => Parsed::Refused(431),
        Err(Error::Version) => Parsed::Refused(505),
        Err(_) => Parsed::Refused(400),
    }
}

fn judge(head: &httparse::Request<'_, '_>) -> Result<Request, u16> {
    let method = head.method.ok_or(400_u16)?;
    let target = head.path.ok_or(400_u16)?;
    let is_modern = head.version == Some(1);
    let hosts = head.headers.iter().filter(|field| is(field, "host")).count();
    if hosts > 1 || (is_modern && hosts == 0) {
        return Err(400);
    }
    if field(head, "transfer-encoding").is_some() {
        return Err(501);
    }
    if field(head, "expect").is_some() {
        return Err(417);
    }
    match field(head, "content-length").map(number) {
        None | Some(Some(0)) => {}
        Some(None) => return Err(400),
        Some(Some(_)) if matches!(method, "GET" | "HEAD") => return Err(413),
        Some(Some(_)) => return Err(405),
    }
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(405),
    };
    if target.len() > TARGET {
        return Err(414);
    }
    let path = path(target).ok_or(400_u16)?;
    let range = field(head, "range").and_then(range);
    Ok(Request { is_head, path, keep_alive: keeps_alive(head, is_modern), is_modern, range })
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

/// The value of a field, if it is there and is text.
fn field<'a>(head: &httparse::Request<'_, 'a>, name: &str) -> Option<&'a str> {
    let field = head.headers.iter().find(|field| is(field, name))?;
    Some(core::str::from_utf8(field.value).unwrap_or("\u{fffd}").trim())
}

fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

fn keeps_alive(head: &httparse::Request<'_, '_>, is_modern: bool) -> bool {
    let says = |word: &str| {
        field(head, "connection")
            .is_some_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    };
    !says("close") && (is_modern || says("keep-alive"))
}

/// The decoded path of a target; `None` if there is none that makes sense.
fn path(target: &str) -> Option<String> {
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => target,
    };
    let path = target.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    let decoded = decode(path)?;
    let is_sane = |name: &str| name != "." && name != ".." && !name.contains(['\0', '\\']);
    decoded.split('/').all(is_sane).then_some(decoded)
}

/// Replaces `%XX` by the byte it stands for.
fn decode(text: &str) -> Option<String> {
    let mut bytes = alloc::vec::Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(match byte {
            b'%' => (digit()? << 4 | digit()?) as u8,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// One range of bytes; `None` for several or what is none, which then means the whole file (RFC 9110, 14.2).
fn range(value: &str) -> Option<Range> {
    let (from, to) = value.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Some(Range::FromTo(from, to)),
        (Some(from), None) if to.is_empty() => Some(Range::FromTo(from, u64::MAX)),
        (None, Some(count)) if from.is_empty() => Some(Range::Last(count)),
        _ => None,
    }
}

impl Range {
    /// First byte and number of bytes in a file of `size` bytes; `None` if there are none.
    pub fn within(self, size: u64) -> Option<(u64, u64)> {
        let (from, end) = match self {
            Self::FromTo(from, to) => (from, to.saturating_add(1).min(size)),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (from < end).then(|| (from, end - from))
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Parsed, Range, Request, parse};
    use std::format;
    use std::string::String;

    fn request(text: &str) -> Request {
        match parse(text.as_bytes()) {
            Parsed::Request(request, length) => {
                assert_eq!(length, text.len());
                request
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn refused(text: &str) -> u16 {
        match parse(text.as_bytes()) {
            Parsed::Refused(status) => status,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn path(target: &str) -> String {
        request(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).path
    }

    #[test]
    fn plain_requests_are_understood() {
        let get = request("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((get.path.as_str(), get.is_head, get.keep_alive), ("/a", false, true));
        let head = request("HEAD / HTTP/1.0\r\n\r\n");
        assert_eq!((head.is_head, head.keep_alive, head.is_modern), (true, false, false));
        assert!(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!request("GET / HTTP/1.1\r\nhost: x\r\nCONNECTION: x, Close\r\n\r\n").keep_alive);
        assert!(request("GET / HTTP/1.1\nHost: x\n\n").keep_alive);
    }

    #[test]
    fn a_head_is_partial_until_its_last_byte() {
        let whole = "GET /files/x HTTP/1.1\r\nHost: here\r\nRange: bytes=1-2\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..length]), Parsed::Partial);
        }
        assert_eq!(request(whole).range, Some(Range::FromTo(1, 2)));
    }

    #[test]
    fn targets_are_decoded_and_never_escape() {
        assert_eq!(path("/files/a%20b%C3%A9"), "/files/a bé");
        assert_eq!(path("http://host/files/x"), "/files/x");
        assert_eq!(path("http://host"), "/");
        for target in [
            "/../x",
            "/a/../b",
            "/%2e%2e/x",
            "/a/%2E%2e",
            "/./x",
            "/a%00b",
            "/a%5cb",
            "/%zz",
            "/%4",
            "/%ff",
            "*",
            "x",
            "/..%2fx",
        ] {
            assert_eq!(
                refused(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")),
                400,
                "{target}"
            );
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for (status, text) in [
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n"),
            (400, "\u{1}\u{2}\u{3}\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHo st: a\r\n\r\n"),
            (405, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
            (405, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (413, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
            (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"),
            (501, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\n\r\n"),
        ] {
            assert_eq!(refused(text), status, "{text:?}");
        }
    }

    #[test]
    fn oversized_heads_are_refused() {
        let long = "x".repeat(HEAD);
        assert_eq!(refused(&format!("GET /{long}")), 414);
        assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..3000])), 414);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nX: {long}")), 431);
        let many: String = (0..70).map(|n| format!("X-{n}: y\r\n")).collect();
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), 431);
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        let within = |value: &str, size| super::range(value).map(|range| range.within(size));
        assert_eq!(within("bytes=0-9", 100), Some(Some((0, 10))));
        assert_eq!(within("bytes=90-200", 100), Some(Some((90, 10))));
        assert_eq!(within("bytes=5-", 100), Some(Some((5, 95))));
        assert_eq!(within("bytes=-7", 100), Some(Some((93, 7))));
        assert_eq!(within("bytes=-700", 100), Some(Some((0, 100))));
        assert_eq!(within("bytes=100-", 100), Some(None));
        assert_eq!(within("bytes=-0", 100), Some(None));
        for nonsense in
            ["bytes=9-5", "bytes=1-2,4-5", "bytes=x-", "bytes=-", "lines=1-2", "bytes=1"]
        {
            assert_eq!(within(nonsense, 100), None, "{nonsense}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut bytes = *b"GET /a%20b?x HTTP/1.1\r\nHost: x\r\nRange: bytes=0-5\r\n\r\n";
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = state as usize % bytes.len();
                bytes[at] = (state >> 32) as u8;
            }
            let _ = parse(&bytes);
        }
    }
}
