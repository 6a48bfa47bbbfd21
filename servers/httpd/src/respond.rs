//! What is answered to what: pages, files, directories, and refusals.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

use abi::Traps;
use ipc::files::{NOT_FOUND, NOT_READY, OK, PATH_BYTES};

use crate::body::{Body, Listing};
use crate::connection::{Connection, Env, Finding, Phase};
use crate::page::failure;
use crate::request::Request;
use crate::response::{Head, Length, kind};
use crate::store::{Answer, Ask};
use crate::text::url;

/// Where the files are.
const FILES: &str = "/files/";
/// Most bytes of a path that is looked for, so that `index.html` can follow it.
const LONGEST: usize = PATH_BYTES - 16;
/// The type of our own pages.
const HTML: &str = "text/html; charset=utf-8";
/// What makes a page be asked for anew each time.
const FRESH: &str = "Cache-Control: no-store\r\n";

impl Connection {
    /// Begins to answer a request.
    pub(crate) fn begin<T: Traps>(&mut self, request: Request, env: &mut Env<'_, T>) {
        self.keep_alive = request.keep_alive;
        match request.path.as_str() {
            "/" => {
                let page = env.site.front(env.now);
                self.page(&request, HTML, page, env.now);
            }
            "/status.json" => {
                let page = env.site.json(env.now);
                self.page(&request, "application/json", page, env.now);
            }
            "/files" if env.store.exists() => self.redirect(&request, FILES, env.now),
            path if path.starts_with(FILES) && path.len() <= LONGEST && env.store.exists() => {
                self.phase = Phase::Finding(Finding { request, directory: None });
            }
            _ => self.fail(&request, 404, "There is nothing here by this name.", env.now),
        }
    }

    /// Refuses what is no request that can be answered; the connection ends then.
    pub(crate) fn refuse(&mut self, status: u16, now: u64) {
        self.keep_alive = false;
        let more = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
        let text = match status {
            405 => "This server knows GET and HEAD.",
            408 => "The request took too long.",
            413 => "A request with a body is not understood.",
            503 => "The disk took too long.",
            _ => "The request was not understood.",
        };
        let page = failure(status, text);
        self.respond((status, HTML, more), Length::Known(page.len() as u64), now);
        self.set_body(false, page);
    }

    /// Says that a request cannot be answered as it was meant.
    fn fail(&mut self, request: &Request, status: u16, text: &str, now: u64) {
        let page = failure(status, text);
        self.respond((status, HTML, ""), Length::Known(page.len() as u64), now);
        self.set_body(request.is_head, page);
    }

    fn page(&mut self, request: &Request, kind: &str, page: Option<Rc<[u8]>>, now: u64) {
        let Some(page) = page else {
            return self.fail(request, 503, "The system does not tell its state now.", now);
        };
        self.respond((200, kind, FRESH), Length::Known(page.len() as u64), now);
        if !request.is_head {
            self.body = Body::Bytes(page, 0);
        }
    }

    fn redirect(&mut self, request: &Request, to: &str, now: u64) {
        let page = failure(301, "It is a directory.");
        let more = format!("Location: {to}\r\n");
        let length = Length::Known(page.len() as u64);
        self.respond((301, HTML, &more), length, now);
        self.set_body(request.is_head, page);
    }

    /// Prepares the head; status, type and further fields come together.
    fn respond(&mut self, what: (u16, &str, &str), length: Length, now: u64) {
        let (status, kind, more) = what;
        let keep_alive = self.keep_alive;
        self.out = Head { status, kind, length, keep_alive, more }.text().into_bytes();
        self.body = Body::Empty;
        self.phase = Phase::Sending;
        self.since = now;
    }

    fn set_body(&mut self, is_head: bool, text: String) {
        if !is_head {
            self.body = Body::Bytes(text.into_bytes().into(), 0);
        }
    }

    /// Asks for the file; true if the answer to the request was begun instead.
    pub(crate) fn find<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let Phase::Finding(finding) = &self.phase else { return false };
        if self.question.is_some() {
            return false;
        }
        let path = finding.request.path.strip_prefix(FILES).unwrap_or_default();
        let asked = match finding.directory {
            None => env.store.lookup(path),
            Some(_) => env.store.lookup(&format!("{path}index.html")),
        };
        match asked {
            Ask::Asked(_) | Ask::Later => {
                self.asked(asked, env.now);
                false
            }
            Ask::Never => {
                let request = finding.request.clone();
                self.let_go(env.store);
                self.fail(&request, 503, "There is no disk now.", env.now);
                true
            }
        }
    }

    /// What was looked for was found, or not.
    pub(crate) fn found<T: Traps>(&mut self, answer: &Answer, env: &mut Env<'_, T>) {
        let phase = core::mem::replace(&mut self.phase, Phase::Reading);
        let Phase::Finding(Finding { request, directory }) = phase else { return };
        let is_directory = answer.length != 0;
        match (answer.status, directory) {
            (OK, None) if is_directory => self.found_directory(request, answer.file, env),
            (OK, Some(directory)) if is_directory => {
                env.store.release(answer.file);
                self.list(&request, directory, env);
            }
            (OK, directory) => {
                directory.into_iter().for_each(|directory| env.store.release(directory));
                self.file(&request, answer, directory.is_some(), env);
            }
            (NOT_FOUND, Some(directory)) => self.list(&request, directory, env),
            (status, directory) => {
                directory.into_iter().for_each(|directory| env.store.release(directory));
                let (status, text) = match status {
                    NOT_FOUND => (404, "There is no file by this name."),
                    NOT_READY => (503, "There is no disk now."),
                    ipc::files::FULL => (503, "Too many files are open."),
                    _ => (500, "The disk cannot be read."),
                };
                self.fail(&request, status, text, env.now);
            }
        }
    }

    /// A directory is shown by its `index.html`, if it has one, and relative links need the slash at its end.
    fn found_directory<T: Traps>(&mut self, request: Request, file: u32, env: &mut Env<'_, T>) {
        if request.path.ends_with('/') {
            self.phase = Phase::Finding(Finding { request, directory: Some(file) });
            return;
        }
        env.store.release(file);
        let names: String = request
            .path
            .split('/')
            .skip(1)
            .fold(String::new(), |path, name| path + "/" + &url(name));
        self.redirect(&request, &(names + "/"), env.now);
    }

    fn list<T: Traps>(&mut self, request: &Request, directory: u32, env: &mut Env<'_, T>) {
        let length = if request.is_modern { Length::Chunked } else { Length::Close };
        self.keep_alive &= request.is_modern;
        self.respond((200, HTML, FRESH), length, env.now);
        if request.is_head {
            env.store.release(directory);
        } else {
            self.body = Body::Listing(Listing::new(directory, &request.path, request.is_modern));
        }
    }

    fn file<T: Traps>(
        &mut self,
        request: &Request,
        answer: &Answer,
        is_index: bool,
        env: &mut Env<'_, T>,
    ) {
        let kind = if is_index { HTML } else { kind(&request.path) };
        let size = answer.size;
        let (status, part) = match request.range {
            None => (200, Some((0, size))),
            Some(range) => (206, range.within(size)),
        };
        let Some((from, count)) = part else {
            env.store.release(answer.file);
            let more = format!("Content-Range: bytes */{size}\r\n");
            let page = failure(416, "The file has no such part.");
            let length = Length::Known(page.len() as u64);
            self.respond((416, HTML, &more), length, env.now);
            return self.set_body(request.is_head, page);
        };
        let more = match status {
            206 => format!("Content-Range: bytes {from}-{}/{size}\r\n", from + count - 1),
            _ => "Accept-Ranges: bytes\r\n".into(),
        };
        self.respond((status, kind, &more), Length::Known(count), env.now);
        if request.is_head {
            env.store.release(answer.file);
        } else {
            self.body = Body::File(answer.file, from, from + count);
        }
    }
}
