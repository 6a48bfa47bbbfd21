//! Heads of responses.
//!
//! There is no date in them: the domain has no calendar, and a server without a clock sends none (RFC 9110, 6.6.1).

use alloc::format;
use alloc::string::String;

/// How the length of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// By its number of bytes.
    Known(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What a head says.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The status.
    pub status: u16,
    /// The type of the body.
    pub kind: &'a str,
    /// Its length.
    pub length: Length,
    /// Whether the connection goes on.
    pub keep_alive: bool,
    /// More fields, each with its line end.
    pub more: &'a str,
}

impl Head<'_> {
    /// The head as it is sent.
    pub fn text(&self) -> String {
        let Self { status, kind, keep_alive, more, .. } = self;
        let (phrase, connection) =
            (phrase(*status), if *keep_alive { "keep-alive" } else { "close" });
        let length = match self.length {
            Length::Known(bytes) => format!("Content-Length: {bytes}\r\n"),
            Length::Chunked => "Transfer-Encoding: chunked\r\n".into(),
            Length::Close => String::new(),
        };
        format!(
            "HTTP/1.1 {status} {phrase}\r\nServer: xylem\r\nContent-Type: {kind}\r\n{length}\
             Connection: {connection}\r\nX-Content-Type-Options: nosniff\r\n{more}\r\n"
        )
    }
}

/// The words of a status (RFC 9110, 15).
pub const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// The type of a file, by the end of its name.
pub fn kind(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    let table = [
        ("css", "text/css; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8"),
        ("gif", "image/gif"),
        ("htm", "text/html; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
        ("ico", "image/vnd.microsoft.icon"),
        ("jpeg", "image/jpeg"),
        ("jpg", "image/jpeg"),
        ("js", "text/javascript; charset=utf-8"),
        ("json", "application/json"),
        ("log", "text/plain; charset=utf-8"),
        ("md", "text/markdown; charset=utf-8"),
        ("mjs", "text/javascript; charset=utf-8"),
        ("mp3", "audio/mpeg"),
        ("mp4", "video/mp4"),
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("svg", "image/svg+xml"),
        ("toml", "text/plain; charset=utf-8"),
        ("txt", "text/plain; charset=utf-8"),
        ("wasm", "application/wasm"),
        ("webp", "image/webp"),
        ("woff2", "font/woff2"),
        ("xml", "application/xml"),
        ("zip", "application/zip"),
    ];
    let found = table.iter().find(|(known, _)| known.eq_ignore_ascii_case(end));
    found.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::{Head, Length, kind, phrase};

    #[test]
    fn a_head_ends_with_an_empty_line() {
        let head = Head {
            status: 404,
            kind: "text/plain",
            length: Length::Known(3),
            keep_alive: false,
            more: "Allow: GET\r\n",
        };
        let text = head.text();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n") && text.ends_with("\r\n\r\n"));
        for line in ["Content-Length: 3", "Connection: close", "Allow: GET"] {
            assert!(text.lines().any(|one| one == line), "{line}");
        }
    }

    #[test]
    fn types_follow_the_name() {
        assert_eq!(kind("a/b.HTML"), "text/html; charset=utf-8");
        assert_eq!(kind("x.tar.gz"), "application/octet-stream");
        assert_eq!(kind("noend"), "application/octet-stream");
        assert_eq!(phrase(299), "Internal Server Error");
    }
}
