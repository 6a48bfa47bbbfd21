//! A server's ELF: its segments, its wiring note, its symbols.

use abi::kernel::control::{Access, PortKind};
use abi::layout::{IMAGE, IMAGE_END, PAGE};
use abi::wiring::{
    GRANTABLE, Numbers, OPTIONAL, Record, RecordKind, USED, WAIT, WireShape, records,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind, elf};

/// Why an ELF cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is wrong with it, as a predicate: "is truncated".
    pub what: String,
    /// How to mend it.
    pub help: String,
}

impl Reason {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

const BUILD: &str =
    "build it with the workspace's own `.cargo/config.toml` for x86_64-unknown-linux-musl";

/// A segment to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// How it is mapped.
    pub access: Access,
    /// Its bytes in the file.
    pub bytes: Vec<u8>,
    /// Where it is mapped.
    pub address: u64,
    /// Pages that it takes.
    pub pages: u64,
}

/// A method, served or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Hash of its contract.
    pub hash: u64,
    /// Its answer may come later.
    pub waits: bool,
}

/// A channel or a need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Local name; of a need.
    pub name: String,
    /// Number.
    pub index: u16,
    /// Interface.
    pub interface: String,
    /// Shared memory.
    pub shape: WireShape,
    /// May be left unwired.
    pub optional: bool,
    /// Methods used or served.
    pub methods: Vec<Method>,
}

impl End {
    /// Whether it is memory of the server's own, which no slot serves.
    pub fn is_own(&self) -> bool {
        self.interface == ipc::vchan::NAME
    }
}

/// A server's ELF.
#[derive(Debug, Clone)]
pub struct Elf {
    /// Where it starts.
    pub entry: u64,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Addresses and names of its functions.
    pub symbols: Vec<(u32, String)>,
    /// Channels that it serves.
    pub serves: Vec<End>,
    /// What it needs.
    pub needs: Vec<End>,
    /// Its ports.
    pub ports: Vec<PortKind>,
    /// References of its windows.
    pub windows: Vec<u32>,
    /// Whether it manages others.
    pub control: bool,
    /// The device class that it drives.
    pub device: Option<String>,
    /// Most clients.
    pub clients: u16,
    /// Pages of stack that it asks for.
    pub stack: u32,
    /// Pages of heap that it asks for.
    pub heap: u32,
    /// Pages that it keeps over a crash.
    pub keep: u32,
    /// Records of state that it writes: names and layouts.
    pub writes: Vec<(String, u64)>,
    /// Records that it accepts beside those.
    pub accepts: Vec<(String, u64)>,
}

/// Most handles of a server beside the fixed ones.
const HANDLES: usize = 1024;

/// Longest name of a function that is kept.
const SYMBOL: usize = 60;

fn open(bytes: &[u8]) -> Result<ElfFile64<'_, Endianness>, Reason> {
    let magic = bytes.get(..4) == Some(&elf::ELFMAG);
    if !magic {
        return Err(Reason::new("is no ELF file", BUILD));
    }
    if bytes.get(4) != Some(&elf::ELFCLASS64) || bytes.get(5) != Some(&elf::ELFDATA2LSB) {
        return Err(Reason::new("is not a 64-bit little-endian ELF", BUILD));
    }
    if let Some(machine) = bytes.get(18..20)
        && machine != elf::EM_X86_64.to_le_bytes()
    {
        return Err(Reason::new("is built for another processor", BUILD));
    }
    ElfFile64::parse(bytes)
        .map_err(|error| Reason::new(format!("is damaged: {error}"), "build it again"))
}

/// Checks that a kernel was built for the same ABI as this tool.
///
/// # Errors
/// Why it cannot be used.
pub fn check_kernel(bytes: &[u8]) -> Result<(), Reason> {
    let file = open(bytes)
        .map_err(|reason| Reason::new(format!("the kernel {}", reason.what), reason.help))?;
    let note = note(&file)
        .ok_or_else(|| Reason::new("the kernel has no ABI note", "build the kernel again"))?;
    let abi = records(note).flatten().find(|record| record.kind == RecordKind::Abi);
    match abi {
        Some(record) if record.hash == abi::ABI_HASH => Ok(()),
        _ => Err(Reason::new(
            "the kernel was built for another ABI than this tool",
            "build the kernel again",
        )),
    }
}

fn note<'a>(file: &ElfFile64<'a, Endianness>) -> Option<&'a [u8]> {
    file.section_by_name(abi::wiring::SECTION)
        .and_then(|section| section.data().ok())
        .filter(|note| !note.is_empty())
}

impl Elf {
    /// Reads and checks an ELF.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(_name: &str, bytes: &[u8]) -> Result<Self, Reason> {
        let file = open(bytes)?;
        check_static(&file, bytes)?;
        let segments = segments(&file, bytes)?;
        let entry = file.entry();
        let inside = |segment: &Segment| {
            segment.access == Access::Execute
                && (segment.address..segment.address + segment.pages * PAGE).contains(&entry)
        };
        if !segments.iter().any(inside) {
            return Err(Reason::new("starts outside its executable segment", BUILD));
        }
        let note = note(&file).ok_or_else(|| {
            Reason::new(
                "has no wiring note",
                "declare what it needs with `ipc::wiring!` in its main.rs",
            )
        })?;
        let mut elf = Self {
            entry,
            segments,
            symbols: symbols(&file),
            serves: Vec::new(),
            needs: Vec::new(),
            ports: Vec::new(),
            windows: Vec::new(),
            control: false,
            device: None,
            clients: 0,
            stack: 16,
            heap: 64,
            keep: 0,
            writes: Vec::new(),
            accepts: Vec::new(),
        };
        elf.read_note(note)?;
        Ok(elf)
    }

    /// How its handles and bits are numbered.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            needs: self.needs.len() as u16,
            ports: self.ports.len() as u16,
            windows: self.windows.len() as u16,
            control: self.control.into(),
            clients: self.clients,
        }
    }

    fn is_too_large(&self) -> bool {
        let ends = self.needs.len() + self.ports.len() + self.windows.len();
        ends + usize::from(self.clients) > HANDLES
    }

    fn read_note(&mut self, note: &[u8]) -> Result<(), Reason> {
        let broken = || Reason::new("has a broken wiring note", "build it again");
        let all: Vec<Record<'_>> = records(note).collect::<Option<_>>().ok_or_else(broken)?;
        match all.iter().find(|record| record.kind == RecordKind::Abi) {
            Some(record) if record.hash == abi::ABI_HASH => {}
            _ => return Err(Reason::new("was built for another kernel ABI", "build it again")),
        }
        let of = |kind| {
            let mut found: Vec<&Record<'_>> =
                all.iter().filter(|record| record.kind == kind).collect();
            found.sort_by_key(|record| record.index);
            found
        };
        let method = |owner: u16, used: bool| {
            let owned = |record: &&Record<'_>| {
                record.kind == RecordKind::Method
                    && record.a == u32::from(owner)
                    && (record.flags & USED != 0) == used
            };
            let methods = all.iter().filter(owned).map(|record| Method {
                number: record.index,
                name: record.name.into(),
                hash: record.hash,
                waits: record.flags & WAIT != 0,
            });
            methods.collect()
        };
        let end = |record: &Record<'_>, used: bool| End {
            name: record.name.into(),
            index: record.index,
            interface: record.interface.into(),
            shape: WireShape {
                up: record.b,
                down: record.c,
                grantable: record.flags & GRANTABLE != 0,
            },
            optional: record.flags & OPTIONAL != 0,
            methods: method(record.index, used),
        };
        self.serves = of(RecordKind::Serves).into_iter().map(|record| end(record, false)).collect();
        self.needs = of(RecordKind::Needs).into_iter().map(|record| end(record, true)).collect();
        self.windows = of(RecordKind::Window).into_iter().map(|record| record.a).collect();
        for record in of(RecordKind::Port) {
            self.ports.push(abi::Word::from_word(record.a.into()).ok_or_else(broken)?);
        }
        self.clients = of(RecordKind::Serves)
            .first()
            .map_or(0, |record| record.a.min(u32::from(u16::MAX)) as u16);
        let state = |kind| {
            let found = all.iter().filter(|record| record.kind == kind);
            found.map(|record| (record.name.into(), record.hash)).collect()
        };
        self.writes = state(RecordKind::Writes);
        self.accepts = state(RecordKind::Accepts);
        self.control = !of(RecordKind::Control).is_empty();
        self.keep = of(RecordKind::Keep).first().map_or(0, |record| record.a);
        self.device = of(RecordKind::Device).first().map(|record| record.name.into());
        if let Some(record) = of(RecordKind::Memory).first() {
            (self.stack, self.heap) = (record.a, record.b);
        }
        if self.is_too_large() {
            return Err(Reason::new(
                format!("has more than {HANDLES} needs, ports, windows and clients"),
                "lower `clients` in its wiring",
            ));
        }
        let numbered =
            self.needs.iter().enumerate().all(|(at, need)| usize::from(need.index) == at);
        if numbered { Ok(()) } else { Err(broken()) }
    }
}

fn check_static(file: &ElfFile64<'_, Endianness>, bytes: &[u8]) -> Result<(), Reason> {
    let (endian, header) = (file.endian(), file.elf_header());
    let headers = header.program_headers(endian, bytes);
    let headers =
        headers.map_err(|error| Reason::new(format!("is damaged: {error}"), "build it again"))?;
    let is_linked = |header: &elf::ProgramHeader64<Endianness>| {
        matches!(header.p_type(endian), elf::PT_INTERP | elf::PT_DYNAMIC | elf::PT_TLS)
    };
    if header.e_type(endian) != elf::ET_EXEC || headers.iter().any(is_linked) {
        return Err(Reason::new("is not linked statically", BUILD));
    }
    Ok(())
}

fn segments(file: &ElfFile64<'_, Endianness>, bytes: &[u8]) -> Result<Vec<Segment>, Reason> {
    let endian = file.endian();
    let headers = file.elf_header().program_headers(endian, bytes);
    let headers =
        headers.map_err(|error| Reason::new(format!("is damaged: {error}"), "build it again"))?;
    let mut segments: Vec<Segment> = Vec::new();
    for header in headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD) {
        if header.p_memsz(endian) == 0 {
            continue;
        }
        let segment = segment(header, endian, bytes)?;
        let end = |segment: &Segment| segment.address + segment.pages * PAGE;
        if segments
            .iter()
            .any(|other| segment.address < end(other) && other.address < end(&segment))
        {
            return Err(Reason::new(
                "has overlapping segments",
                "use the linker script `servers/rt/user.ld`",
            ));
        }
        segments.push(segment);
    }
    if segments.len() > abi::image::SEGMENTS {
        return Err(Reason::new(
            "has more than four segments",
            "use the linker script `servers/rt/user.ld`",
        ));
    }
    Ok(segments)
}

fn segment(
    header: &elf::ProgramHeader64<Endianness>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Segment, Reason> {
    const SCRIPT: &str = "use the linker script `servers/rt/user.ld`";
    let flags = header.p_flags(endian);
    let (is_writable, is_executable) = (flags & elf::PF_W != 0, flags & elf::PF_X != 0);
    if is_writable && is_executable {
        return Err(Reason::new("has a segment that is writable and executable", SCRIPT));
    }
    let access = match (is_writable, is_executable) {
        (true, _) => Access::Write,
        (_, true) => Access::Execute,
        _ => Access::Read,
    };
    let data =
        header.data(endian, bytes).map_err(|()| Reason::new("is truncated", "build it again"))?;
    let (address, size) = (header.p_vaddr(endian), header.p_memsz(endian));
    if !address.is_multiple_of(PAGE) {
        return Err(Reason::new("has a segment that does not begin on a page", SCRIPT));
    }
    if address < IMAGE
        || size > IMAGE_END - IMAGE
        || address.saturating_add(size) > IMAGE_END
        || (data.len() as u64) > size
    {
        return Err(Reason::new("has a segment outside the room for images", SCRIPT));
    }
    let mut data = data.to_vec();
    if access != Access::Write {
        data.resize(size as usize, 0);
    }
    Ok(Segment { access, bytes: data, address, pages: size.div_ceil(PAGE) })
}

fn symbols(file: &ElfFile64<'_, Endianness>) -> Vec<(u32, String)> {
    let functions =
        file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() != 0);
    let mut symbols: Vec<(u32, String)> = functions
        .filter_map(|symbol| {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
            Some((u32::try_from(symbol.address()).ok()?, name.chars().take(SYMBOL).collect()))
        })
        .collect();
    symbols.sort();
    symbols.dedup_by_key(|symbol| symbol.0);
    symbols
}
