//! The rig by hand: `rig direct ELF [IMAGE] [-- ARGUMENTS]`, `rig up`, `rig exec COMMAND`, `rig put FILE PATH`, …

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rig::direct::{Boot, End};
use rig::{Cache, Dom0, Error, Instance, Lines, Result, WARM};

const USAGE: &str = "rig setup | up | down | exec COMMAND | put FILE PATH | get PATH FILE | follow COMMAND | log | create ELF IMAGE [ARGUMENTS]
    | forward PORT ADDRESS PORT | monitor LINE | direct ELF [IMAGE] [-- ARGUMENTS]   (RIG_LIMIT: seconds)";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match act(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[&str]) -> Result<u8> {
    let cache = Cache::open()?;
    match words {
        ["setup"] => rig::setup(&cache, &Lines)?,
        ["up"] => drop(Instance::warm(&cache, &Lines)?),
        ["down"] => {
            if let Some(instance) = Instance::find(&cache, WARM)? {
                instance.stop()?;
            }
        }
        ["direct", kernel, rest @ ..] => return direct(&cache, Path::new(kernel), rest),
        ["exec", command @ ..] => {
            let output = running(&cache)?.dom0().exec(&command.join(" "), limit())?;
            print!("{}", output.text);
            return Ok(u8::try_from(output.status).unwrap_or(255));
        }
        ["put", file, path] => {
            (&running(&cache)?.dom0() as &dyn Dom0).put(Path::new(file), path)?
        }
        ["get", path, file] => {
            (&running(&cache)?.dom0() as &dyn Dom0).get(path, Path::new(file))?
        }
        ["follow", command @ ..] => {
            let mut stream = running(&cache)?.dom0().follow(&command.join(" "))?;
            let _ = std::io::copy(&mut stream, &mut std::io::stdout());
        }
        ["create", kernel, image, rest @ ..] => {
            return create(&cache, Path::new(kernel), Path::new(image), rest);
        }
        ["log"] => print!("{}", running(&cache)?.xen_log()),
        ["forward", port, address, target] => {
            running(&cache)?.forward(number(port), address, number(target))?;
        }
        ["monitor", line @ ..] => print!("{}", running(&cache)?.monitor()?.human(&line.join(" "))?),
        _ => {
            eprintln!("{USAGE}");
            return Ok(2);
        }
    }
    Ok(0)
}

fn direct(cache: &Cache, kernel: &Path, rest: &[&str]) -> Result<u8> {
    rig::setup(cache, &Lines)?;
    let (image, arguments) = match rest {
        ["--", arguments @ ..] => (None, arguments),
        [image, "--", arguments @ ..] => (Some(Path::new(*image)), arguments),
        [image] => (Some(Path::new(*image)), &[][..]),
        _ => (None, rest),
    };
    let arguments = arguments.join(" ");
    let boot = Boot { image, arguments: &arguments, ..Boot::of(kernel) };
    let start = Instant::now();
    let end = rig::direct::run(cache, &boot, limit(), |line| println!("{line}"))?;
    eprintln!("rig: {end:?} after {:.2} s", start.elapsed().as_secs_f32());
    Ok(if end == End::Halted { 0 } else { 1 })
}

/// Puts kernel and image into dom0 and creates a domain `x` of them; its console is `rig follow`ed by hand.
fn create(cache: &Cache, kernel: &Path, image: &Path, arguments: &[&str]) -> Result<u8> {
    let dom0 = running(cache)?.dom0();
    let dom0 = &dom0 as &dyn Dom0;
    dom0.put(kernel, "/root/x.kernel")?;
    dom0.put(image, "/root/x.image")?;
    let config = format!(
        "name='x'\nkernel='/root/x.kernel'\nramdisk='/root/x.image'\ntype='pvh'\nmemory=32\nvcpus=1\n\
         tsc_mode='native'\nextra='{}'\nvif=['bridge=xenbr0,mac=00:16:3e:00:00:15']\non_crash='destroy'\n",
        arguments.join(" ")
    );
    dom0.write(&mut config.as_bytes(), config.len() as u64, "/root/x.cfg")?;
    let command = "xl destroy x 2>/dev/null; while xl domid x >/dev/null 2>&1; do sleep 0.1; done; \
                   rm -f /var/log/xen/console/guest-x.log; xl create x.cfg && xl list";
    let output = dom0.exec(command, limit())?;
    print!("{}", output.text);
    Ok(u8::from(!output.is_ok()))
}

fn running(cache: &Cache) -> Result<Instance> {
    Instance::find(cache, WARM)?.ok_or(Error::NoRig)
}

fn limit() -> Duration {
    let seconds = std::env::var("RIG_LIMIT").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

fn number(text: &str) -> u16 {
    text.parse().unwrap_or(0)
}
