//! What a web server hands to its successor.
//!
//! Invariant: each page that is being sent is written once, however many connections send it, and in small parts. What was read
//! is written again to the last byte.

use alloc::rc::Rc;
use alloc::vec::Vec;

use ipc::socket::client;
use ipc::state::{Damaged, Full, Reader, Writer};

use crate::body;
use crate::connection::{self, Phase};
use crate::store;

ipc::state! {
    /// All but the connections.
    pub struct Server: "httpd.server" {
        /// When a session with the network is to be tried again.
        pub retry: u64,
        /// The session with the network.
        pub network: Option<Network>,
        /// The session with the file system.
        pub store: store::State,
    }
    /// A session with the network.
    pub struct Network {
        /// Its sockets.
        pub sockets: client::State,
        /// The one that listens.
        pub listener: u16,
        /// The status of listening, once it is known.
        pub listening: Option<u16>,
        /// Sockets that wait for a connection.
        pub accepting: u32,
        /// Sockets that are being closed, and until when.
        pub closing: Vec<(u16, u64)>,
    }
    /// A part of a page that is being sent; parts of one page have one number, and come in order.
    pub struct Page: "httpd.page" {
        /// Its number, from 0 on.
        pub number: u32,
        /// The bytes.
        pub bytes: Vec<u8>,
    }
    /// A connection.
    pub struct Connection: "httpd.connection" {
        /// Its socket.
        pub socket: u16,
        /// What it does.
        pub phase: Phase,
        /// What came and was not understood yet.
        pub input: Vec<u8>,
        /// Whether all of that was looked at, and is a part of a head.
        pub is_partial: bool,
        /// What is to be sent before the body.
        pub out: Vec<u8>,
        /// How much of it was sent.
        pub sent: u32,
        /// The body.
        pub body: Body,
        /// Whether it goes on after this answer.
        pub keep_alive: bool,
        /// The question at the file system.
        pub question: Option<u32>,
        /// Since when the phase lasts, or when something last came of it.
        pub since: u64,
    }
    /// A body, as far as it was not sent.
    pub enum Body {
        /// Nothing.
        Empty,
        /// A page, by its number, and how much of it was sent.
        Page(u32, u32),
        /// The bytes of a file from the second number up to the third.
        File(u32, u64, u64),
        /// The page of a directory.
        Listing(body::Listing),
    }
}

/// Most bytes in a part of a page: the state is written with no more than that beside it.
const PART: usize = 2048;

/// Writes connections, and the pages that they send.
pub(crate) fn save(connections: &[connection::Connection], to: &mut Writer) -> Result<(), Full> {
    let mut pages: Vec<Rc<[u8]>> = Vec::new();
    for connection in connections {
        to.put(&saved(connection, &mut pages))?;
    }
    for (number, page) in (0..).zip(&pages) {
        for part in page.chunks(PART) {
            to.put(&Page { number, bytes: part.to_vec() })?;
        }
    }
    Ok(())
}

fn saved(connection: &connection::Connection, pages: &mut Vec<Rc<[u8]>>) -> Connection {
    let body = match &connection.body {
        body::Body::Bytes(page, at) if *at < page.len() => {
            Body::Page(number_of(page, pages), *at as u32)
        }
        body::Body::Empty | body::Body::Bytes(..) => Body::Empty,
        body::Body::File(file, from, to) => Body::File(*file, *from, *to),
        body::Body::Listing(listing) => Body::Listing(listing.clone()),
    };
    Connection {
        socket: connection.socket,
        phase: connection.phase.clone(),
        input: connection.input.clone(),
        is_partial: connection.is_partial,
        out: connection.out.clone(),
        sent: connection.sent as u32,
        body,
        keep_alive: connection.keep_alive,
        question: connection.question,
        since: connection.since,
    }
}

/// The number of a page, which gets one if it has none.
fn number_of(page: &Rc<[u8]>, pages: &mut Vec<Rc<[u8]>>) -> u32 {
    let known = pages.iter().position(|other| Rc::ptr_eq(other, page));
    known.unwrap_or_else(|| {
        pages.push(page.clone());
        pages.len() - 1
    }) as u32
}

/// Reads them again.
pub(crate) fn connections(state: Reader<'_>) -> Result<Vec<connection::Connection>, Damaged> {
    let pages = pages(state)?;
    state.all::<Connection>().map(|connection| restored(connection?, &pages)).collect()
}

fn pages(state: Reader<'_>) -> Result<Vec<Rc<[u8]>>, Damaged> {
    let mut pages: Vec<Vec<u8>> = Vec::new();
    for part in state.all::<Page>() {
        let Page { number, bytes } = part?;
        if number as usize == pages.len() {
            pages.push(Vec::new());
        }
        pages.get_mut(number as usize).ok_or(Damaged)?.extend(bytes);
    }
    Ok(pages.into_iter().map(Rc::from).collect())
}

fn restored(saved: Connection, pages: &[Rc<[u8]>]) -> Result<connection::Connection, Damaged> {
    let body = match saved.body {
        Body::Empty => body::Body::Empty,
        Body::Page(number, at) => {
            let page = pages.get(number as usize).ok_or(Damaged)?;
            body::Body::Bytes(page.clone(), at as usize)
        }
        Body::File(file, from, to) => body::Body::File(file, from, to),
        Body::Listing(listing) => body::Body::Listing(listing),
    };
    Ok(connection::Connection {
        socket: saved.socket,
        phase: saved.phase,
        input: saved.input,
        is_partial: saved.is_partial,
        out: saved.out,
        sent: saved.sent as usize,
        body,
        keep_alive: saved.keep_alive,
        question: saved.question,
        since: saved.since,
    })
}
