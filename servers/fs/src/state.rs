//! What a file system hands to its successor: sessions, open files, requests that are not answered, and what is being fetched.
//!
//! Invariant: what was read of it is written again to the last byte. Blocks that are kept are not handed over: the successor
//! looks at the volume anew, while requests wait, and takes them up from their beginning. A file is known by its first cluster,
//! a directory by its path.

use alloc::string::String;
use alloc::vec::Vec;

use ipc::state::{Damaged, Full, Reader, Writer};
use shared::queue::Kept;

use crate::file::{Cursor, OpenFile, Place};
use crate::session::Session;

ipc::state! {
    /// All but the sessions.
    pub struct Server: "fs.server" {
        /// Number of the last session.
        pub sessions: u32,
        /// Bytes of the disk when it was looked at.
        pub size: u64,
        /// What is known of it.
        pub volume: Volume,
        /// Since when there is no session with the disk; 0 while there is one.
        pub lost: u64,
        /// When the disk is opened again; 0 when nothing is asked of it.
        pub patience: u64,
        /// The session with the disk.
        pub disk: Disk,
    }
    /// What is known of the disk.
    pub enum Volume {
        /// It is not there.
        Absent,
        /// It is there; whether it was told what is on it.
        Present(bool),
        /// It has no volume that makes sense.
        Unreadable,
    }
    /// The session with the disk.
    pub struct Disk {
        /// Its queue: requests without an answer, and by which restarts of the other side are told.
        pub queue: Option<(u32, u32)>,
        /// Sectors.
        pub sectors: u64,
        /// What is being fetched.
        pub fetches: Vec<Fetch>,
    }
    /// Blocks that are being fetched.
    pub struct Fetch {
        /// The part of the data area.
        pub unit: u32,
        /// Whether they are the volume's own.
        pub is_meta: bool,
        /// The first one.
        pub first: u64,
        /// How many.
        pub count: u32,
    }
    /// A client's session; its files and requests follow by themselves.
    pub struct Client: "fs.client" {
        /// Its number among the clients.
        pub client: u32,
        /// Requests without an answer.
        pub open: u32,
        /// By which restarts of the client are told.
        pub epoch: u32,
    }
    /// An open file.
    pub struct File: "fs.file" {
        /// The client.
        pub client: u32,
        /// Its number.
        pub number: u32,
        /// What it is.
        pub what: What,
        /// Where a chain was followed to.
        pub cursor: Option<Cursor>,
        /// Where the last read ended.
        pub end: u64,
        /// Where a reader in sequence goes on.
        pub next: u64,
    }
    /// What an open file is.
    pub enum What {
        /// The root.
        Root,
        /// The directory at a path.
        Directory(String),
        /// A file: its first cluster, and its size.
        File(u32, u64),
    }
    /// A request that is not answered.
    pub struct Task: "fs.task" {
        /// The client.
        pub client: u32,
        /// The client's number for it.
        pub id: u32,
        /// What is asked, and the buffer.
        pub kind: (u16, u16),
        /// Which file.
        pub file: u32,
        /// By kind.
        pub length: u32,
        /// By kind.
        pub offset: u64,
        /// What is looked for.
        pub path: String,
        /// The answer, if it is one already.
        pub refused: Option<u32>,
    }
}

/// Writes a client's session.
pub(crate) fn save(client: u32, session: &Session, to: &mut Writer) -> Result<(), Full> {
    let Kept { open, peer_epoch } = session.kept();
    to.put(&Client { client, open, epoch: peer_epoch })?;
    for (number, file) in session.files() {
        to.put(&file_of(client, number, file))?;
    }
    session.saved_tasks(client).try_for_each(|task| to.put(&task))
}

fn file_of(client: u32, number: u32, file: &OpenFile) -> File {
    let what = match &file.place {
        Place::Root => What::Root,
        Place::Directory(_, path) => What::Directory(path.clone()),
        Place::File(first, size) => What::File(*first, *size),
    };
    let OpenFile { cursor, end, next, .. } = *file;
    File { client, number, what, cursor, end, next }
}

/// Gives sessions, which come by their clients' numbers, their files and requests again.
pub(crate) fn restore(
    state: Reader<'_>,
    sessions: &mut [Option<&mut Session>],
) -> Result<(), Damaged> {
    for file in state.all::<File>() {
        let File { client, number, what, cursor, end, next } = file?;
        let place = match what {
            What::Root => Place::Root,
            What::Directory(path) => Place::Directory(None, path),
            What::File(first, size) => Place::File(first, size),
        };
        let file = OpenFile { place, cursor, end, next };
        let session = of(sessions, client)?;
        session.put_file(number, file).ok_or(Damaged)?;
    }
    for task in state.all::<Task>() {
        let task = task?;
        of(sessions, task.client)?.put_task(task);
    }
    Ok(())
}

/// The session of a client.
fn of<'s>(
    sessions: &'s mut [Option<&mut Session>],
    client: u32,
) -> Result<&'s mut Session, Damaged> {
    sessions.get_mut(client as usize).and_then(Option::as_deref_mut).ok_or(Damaged)
}
