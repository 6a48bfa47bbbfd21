//! `rig`: the commands about the rig itself.
//!
//! Invariant: only `up` starts anything; all others say so when no rig runs.

use std::process::ExitCode;
use std::time::Duration;

use rig::{Cache, Dom0, Instance, WARM};
use serde_json::json;

use crate::args::Rig;
use crate::failure::Result;
use crate::ui::Screen;

/// Does what the command says.
///
/// # Errors
/// Those of the rig.
pub fn act(command: &Rig) -> Result<ExitCode> {
    let cache = Cache::open()?;
    match command {
        Rig::Up => up(&cache),
        Rig::Down => down(&cache),
        Rig::Status { json } => status(&cache, *json),
        Rig::Exec { limit, command } => exec(&cache, &command.join(" "), *limit),
        Rig::Logs => {
            print!("{}", running(&cache)?.xen_log());
            Ok(ExitCode::SUCCESS)
        }
        Rig::Put { file, path } => {
            (&running(&cache)?.dom0() as &dyn Dom0).put(file, path)?;
            Ok(ExitCode::SUCCESS)
        }
        Rig::Get { path, file } => {
            (&running(&cache)?.dom0() as &dyn Dom0).get(path, file)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn running(cache: &Cache) -> Result<Instance> {
    Ok(Instance::find(cache, WARM)?.ok_or(rig::Error::NoRig)?)
}

fn up(cache: &Cache) -> Result<ExitCode> {
    Instance::warm(cache, &Screen::default())?;
    eprintln!("the rig is up: `cargo xylem rig exec xl list` runs a command in its domain 0");
    Ok(ExitCode::SUCCESS)
}

fn down(cache: &Cache) -> Result<ExitCode> {
    match Instance::find(cache, WARM)? {
        Some(instance) => {
            instance.stop()?;
            eprintln!("the rig is down; what was made for it stays in {}", cache.path().display());
        }
        None => eprintln!("no rig is running"),
    }
    Ok(ExitCode::SUCCESS)
}

fn exec(cache: &Cache, command: &str, limit: f32) -> Result<ExitCode> {
    let limit = Duration::try_from_secs_f32(limit).unwrap_or(Duration::from_secs(60));
    let output = running(cache)?.dom0().exec(command, limit)?;
    print!("{}", output.text);
    Ok(ExitCode::from(u8::try_from(output.status).unwrap_or(255)))
}

fn status(cache: &Cache, is_json: bool) -> Result<ExitCode> {
    let Some(instance) = Instance::find(cache, WARM)? else {
        if is_json {
            println!("{}", json!({ "running": false, "cache": cache.path() }));
        } else {
            println!("no rig is running; its cache is {}", cache.path().display());
        }
        return Ok(ExitCode::FAILURE);
    };
    let (record, dom0) = (instance.record(), instance.dom0());
    let domains = rig::domain::names(&dom0)?;
    if is_json {
        let forwards: Vec<_> = record
            .forwards
            .iter()
            .map(|(port, to, at)| json!({ "port": port, "to": to, "at": at }))
            .collect();
        let status = json!({
            "running": true, "cache": cache.path(), "run": instance.run(), "qemu": record.qemu.pid,
            "domains": domains, "forwards": forwards,
        });
        println!("{status}");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "the rig runs: QEMU is process {}, its logs are in {}",
        record.qemu.pid,
        instance.run().display()
    );
    println!("domains: {}", if domains.is_empty() { "none".into() } else { domains.join(", ") });
    for (port, to, at) in &record.forwards {
        println!("http://127.0.0.1:{port}/ leads to {to}:{at}");
    }
    Ok(ExitCode::SUCCESS)
}
