//! `run`: from a system's name to a page that answers.
//!
//! Invariant: whatever goes wrong after a domain was made, the domain is ended and the rig stays. The rig and another
//! dom0 take the same way.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rig::domain::Domain;
use rig::{Cache, Disk, Progress, Restart, Spec, phase};

use crate::args::Run;
use crate::failure::{Context, Failure, Result};
use crate::place::{Note, Place};
use crate::system::{self, Packed, quiet_phase};
use crate::ui::Screen;
use crate::watch::{Outcome, Watch};
use crate::{files, stop};

/// How long a page may take to answer first.
const ANSWER: Duration = Duration::from_secs(30);

/// Runs a system.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &Run) -> Result<ExitCode> {
    let screen = Screen::default();
    let extra = command_line(args)?;
    check_disks(args)?;
    let (packed, mut place) = prepare(args, &screen)?;
    if packed.has_network {
        place.claim(args.port)?;
    }
    let name = args.name.clone().unwrap_or_else(|| packed.name.clone());
    let note = Note {
        port: packed.has_network.then_some(args.port),
        files: make_files(args, &name, &screen)?,
    };
    let watch = Watch::new(args.json);
    create(args, &packed, &place, &name, &extra, &note, &screen).inspect_err(|_| note.discard())?;
    let result = follow(args, &packed, &mut place, &name, &screen, watch);
    if args.detach && result.is_ok() {
        return Ok(ExitCode::SUCCESS);
    }
    let ended = stop::end(&mut place, &name);
    let code = result?;
    ended.map(|()| code)
}

/// Builds and packs, while the place is opened on the side.
fn prepare(args: &Run, screen: &Screen) -> Result<(Packed, Place)> {
    let ready = |(kernel, image)| system::ready(Path::new(&args.system), kernel, image);
    let built = args.built.pair().map(ready).transpose()?;
    let manifest = if built.is_some() { PathBuf::new() } else { system::find(&args.system)? };
    std::thread::scope(|scope| {
        let place = scope.spawn(|| Place::open(&args.on.target, screen));
        let packed =
            built.map_or_else(|| system::build_and_pack(&manifest, args.verbose, screen), Ok);
        let place = place.join().unwrap_or(Err(Failure::Rig(rig::Error::NoRig)));
        Ok((packed?, place?))
    })
}

/// What the domain is told at its creation.
fn command_line(args: &Run) -> Result<String> {
    let mut line = args.extra.clone();
    for setting in &args.set {
        let well_formed = setting
            .split_once('=')
            .is_some_and(|(key, _)| key.split_once('.').is_some_and(is_full));
        if !well_formed || setting.contains(char::is_whitespace) {
            return Err(Failure::Setting { given: setting.clone() });
        }
        let _ = write!(line, " {setting}");
    }
    Ok(line.trim().to_owned())
}

fn is_full((server, key): (&str, &str)) -> bool {
    !server.is_empty() && !key.is_empty()
}

fn check_disks(args: &Run) -> Result<()> {
    args.disk.iter().try_for_each(|disk| File::open(disk).context("open", disk).map(drop))
}

/// Makes the disk of `--files`, beside the cache's other things: the domain may outlive this command.
fn make_files(args: &Run, name: &str, screen: &Screen) -> Result<Option<PathBuf>> {
    let Some(folder) = &args.files else { return Ok(None) };
    let disks = Cache::open()?.path().join("disks");
    fs::create_dir_all(&disks).context("create", &disks)?;
    // A name of its own: a domain that runs may have an older disk of the same name.
    let path = disks.join(format!("{name}-{}.img", std::process::id()));
    let _ = fs::remove_file(&path);
    quiet_phase(screen, "disk of the files", || {
        let mut image = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .context("create", &path)?;
        files::image_of(folder, &mut image)
    })?;
    Ok(Some(path))
}

fn create(
    args: &Run,
    packed: &Packed,
    place: &Place,
    name: &str,
    extra: &str,
    note: &Note,
    screen: &Screen,
) -> Result<()> {
    const DEVICES: [&str; 8] = ["xvda", "xvdb", "xvdc", "xvdd", "xvde", "xvdf", "xvdg", "xvdh"];
    let images = note
        .files
        .iter()
        .map(|path| (path, false))
        .chain(args.disk.iter().map(|path| (path, true)));
    let disks = images
        .zip(DEVICES)
        .map(|((image, writable), device)| Disk { image, device, writable })
        .collect();
    let (mac, note) = (place.mac(name), note.text());
    let spec = Spec {
        name,
        kernel: &packed.kernel,
        image: &packed.image,
        memory: args.memory.unwrap_or(packed.memory),
        vcpus: args.vcpus.unwrap_or(packed.vcpus),
        extra,
        bridge: packed.has_network.then_some(args.bridge.as_str()),
        mac: mac.as_deref(),
        disks,
        restart: Restart::OnReboot,
        note: &note,
    };
    Ok(phase(screen, "xl create", None, || Domain::create(place.dom0(), &spec).map(drop))?)
}

/// Follows the console until the page answers (with `--detach`), the user has enough, or the domain ends.
fn follow(
    args: &Run,
    packed: &Packed,
    place: &mut Place,
    name: &str,
    screen: &Screen,
    mut watch: Watch,
) -> Result<ExitCode> {
    let console = Domain::named(place.dom0(), name)?.console()?;
    watch.console(console);
    if packed.has_network {
        let (url, took) = answer(args, place, name, &mut watch)?;
        screen.end("first answer", took);
        announce(args, name, &url, screen);
    }
    if args.detach {
        return Ok(ExitCode::SUCCESS);
    }
    match watch.until_end() {
        Outcome::Interrupted => {
            eprintln!("ending {name} …");
            Ok(ExitCode::from(130))
        }
        _ => ended(place, name),
    }
}

/// Waits for the page's first answer.
fn answer(
    args: &Run,
    place: &mut Place,
    name: &str,
    watch: &mut Watch,
) -> Result<(String, Duration)> {
    let start = Instant::now();
    let mut url = match place.likely_address() {
        Some(address) => Some(place.publish(args.port, address)?),
        None => None,
    };
    url.iter().for_each(|url| watch.page(place.prober(url)));
    loop {
        match watch.next(ANSWER.saturating_sub(start.elapsed())) {
            Outcome::Address(address) => {
                let told = place.publish(args.port, &address)?;
                watch.page(place.prober(&told));
                url = Some(told);
            }
            Outcome::Answered => return Ok((url.unwrap_or_default(), start.elapsed())),
            Outcome::Interrupted => return Err(Failure::Interrupted),
            Outcome::ConsoleEnded => return Err(Failure::Ended { name: name.into() }),
            Outcome::TimedOut => {
                let url = url
                    .unwrap_or_else(|| "the page (no server has told the domain's address)".into());
                return Err(Failure::NoAnswer { url, limit: ANSWER });
            }
        }
    }
}

fn announce(args: &Run, name: &str, url: &str, screen: &Screen) {
    if args.json {
        let seconds = |took: &Duration| (took.as_secs_f64() * 1000.0).round() / 1000.0;
        let phases: Vec<_> = screen
            .phases()
            .iter()
            .map(|(phase, took)| serde_json::json!({ "phase": phase, "seconds": seconds(took) }))
            .collect();
        println!(
            "{}",
            serde_json::json!({ "event": "ready", "domain": name, "url": url, "phases": phases })
        );
    } else if args.detach {
        println!("{name} {url}");
    } else {
        println!("{url}");
        screen.note("Ctrl-C ends the domain; the rig stays warm until `cargo xylem rig down`");
    }
}

/// The domain ended by itself: how?
fn ended(place: &Place, name: &str) -> Result<ExitCode> {
    match Domain::named(place.dom0(), name)?.last_shutdown()? {
        Some(rig::domain::Reason::Crash) => Err(Failure::Crashed { name: name.into() }),
        _ => {
            eprintln!("the domain {name} has ended");
            Ok(ExitCode::SUCCESS)
        }
    }
}
