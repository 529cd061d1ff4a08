//! README and docs/: each `replay` command that needs no AWS account runs, and prints what the page shows.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

use pty_process::Size;
use pty_process::blocking::{Command, open};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A command in a block of type `console`, and the lines below it.
struct Shown {
    page: String,
    command: String,
    output: Vec<String>,
}

/// All commands of a page. A line that ends with a backslash goes on in the next.
fn commands(page: &str) -> Vec<Shown> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).expect(page);
    let mut found: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", "").lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            inside = fence == "console";
        } else if inside && let Some(command) = line.trim_start().strip_prefix("$ ") {
            let (page, command) = (page.to_owned(), command.to_owned());
            found.push(Shown { page, command, output: Vec::new() });
        } else if inside && let Some(last) = found.last_mut() {
            last.output.push(line.to_owned());
        }
    }
    found
}

/// What a shell must run for it: `make` builds with a profile of its own, which a test need not. `None` if it is not
/// about `replay`, or needs an AWS account.
fn runnable(command: &str) -> Option<String> {
    let command = command.split("  #").next().unwrap_or(command).trim();
    let command = command.strip_prefix("target/debug/").unwrap_or(command);
    let logs = command.split_once("LOGS=").map_or("events/logs", |(_, logs)| logs);
    let run = match command {
        _ if command.starts_with("make replay") => format!("replay {logs}"),
        _ if command.starts_with("make report") => format!("replay --report report.html {logs}"),
        _ if command.starts_with("replay ") && !command.contains("s3://") => command.to_owned(),
        _ => return None,
    };
    Some(run)
}

/// Whether `printed` is what a page shows as `shown`. There, a line `…` leaves lines out, and at the end of a
/// line the rest of it.
fn agrees(shown: &[String], printed: &[&str]) -> Result<(), String> {
    let mut printed = printed.iter();
    let mut left_out = false;
    for line in shown {
        let line = line.trim_end();
        if line.trim() == "…" {
            left_out = true;
            continue;
        }
        let same = |other: &str| {
            other == line || line.strip_suffix('…').is_some_and(|start| other.starts_with(start))
        };
        let found =
            if left_out { printed.any(|one| same(one)) } else { printed.next().is_some_and(|one| same(one)) };
        if !found {
            return Err(format!("not printed, or not there: {line}"));
        }
        left_out = false;
    }
    match printed.next() {
        Some(more) if !shown.is_empty() && !left_out => Err(format!("the page lacks: {more}")),
        _ => Ok(()),
    }
}

/// Runs a command in `folder` on a terminal of 80 columns: its output, and what it wrote to standard error.
fn run(folder: &Path, command: &str) -> (String, String) {
    let (mut terminal, child_end) = open().expect("a pseudo-terminal");
    terminal.resize(Size::new(24, 80)).expect("resized");
    let errors = folder.join("stderr");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("PATH"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .env("TERM", "xterm-256color")
        .stderr(fs::File::create(&errors).expect("a file"))
        .spawn(child_end)
        .expect("sh runs");
    let mut printed = Vec::new();
    // Linux ends a pseudo-terminal that no one writes to any more with an error.
    let _ = terminal.read_to_end(&mut printed);
    child.wait().expect("it ends");
    (String::from_utf8(printed).expect("text"), fs::read_to_string(errors).expect("text"))
}

#[test]
fn each_command_of_a_page_prints_what_the_page_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    symlink(env!("CARGO_BIN_EXE_replay"), folder.join("replay")).expect("a link");
    for (name, to) in [("events", "events"), ("logs", "events/logs"), ("rules", "rules")] {
        symlink(Path::new(ROOT).join(to), folder.join(name)).expect("a link");
    }
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/rules.md")).expect("readable");
    let rule =
        guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a rule file");
    fs::create_dir(folder.join("my-rules")).expect("a folder");
    fs::write(folder.join("my-rules/throttled.toml"), rule).expect("writable");

    let mut ran = 0;
    let mut wrong = Vec::new();
    for page in [
        "README.md",
        "docs/replay.md",
        "docs/rules.md",
        "docs/operate.md",
        "docs/alerts.md",
        "docs/deploy.md",
    ] {
        for shown in commands(page) {
            let Some(command) = runnable(&shown.command) else { continue };
            let (printed, errors) = run(folder, &command);
            let refused =
                errors.lines().find(|line| line.starts_with("error:") || line.contains("not found"));
            // On a terminal, an empty line parts the result from what was there before.
            let lines: Vec<&str> =
                printed.lines().map(str::trim_end).skip_while(|line| line.is_empty()).collect();
            let problem = refused.map(str::to_owned).or_else(|| agrees(&shown.output, &lines).err());
            wrong.extend(problem.map(|problem| format!("{}: {command}: {problem}", shown.page)));
            ran += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ran >= 15, "{ran}");
}

#[test]
fn an_excerpt_must_be_in_the_output() {
    let check = |shown: &[&str], printed: &[&str]| {
        agrees(&shown.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), printed).is_ok()
    };
    assert!(check(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(check(&["a", "…"], &["a", "b"]) && check(&["a b…"], &["a b c"]) && check(&[], &["a"]));
    assert!(!check(&["a"], &["a", "b"]), "the page must say that more is printed");
    assert!(
        !check(&["a", "c"], &["a", "b", "c"])
            && !check(&["a", "…", "x"], &["a", "b"])
            && !check(&["a b…"], &["a c"])
    );
}
