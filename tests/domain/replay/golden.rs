//! Golden cases: a folder `input` of logs, and beside it the alerts that `replay --format json`
//! must print for it (`alerts.jsonl`) and the summary (`summary.txt`). A case may have
//! `arguments`. `BLESS=1 cargo test --test domain golden` writes the current output; read it before
//! you commit it.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_case_prints_its_alerts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> =
        fs::read_dir(&root).expect("golden cases").map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "golden cases are missing");
    let mut wrong = Vec::new();
    for case in &cases {
        let arguments = fs::read_to_string(case.join("arguments")).unwrap_or_default();
        let output = Command::new(env!("CARGO_BIN_EXE_replay"))
            .args(["--format", "json"])
            .args(arguments.split_whitespace())
            .arg("input")
            .current_dir(case)
            .output()
            .expect("replay runs");
        for (file, printed) in [("alerts.jsonl", output.stdout), ("summary.txt", output.stderr)] {
            let printed = String::from_utf8(printed).expect("text");
            let path = case.join(file);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&path, &printed).expect("writable");
            }
            // A missing file is as wrong as a different text.
            if fs::read_to_string(&path).ok().as_ref() != Some(&printed) {
                wrong.push(format!("{} is not what was printed:\n{printed}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Old logs are read ahead of the watch list, as many at once as there are jobs.
#[test]
fn figures_of_served_calls_are_the_same_with_any_number_of_jobs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut served = 0;
    for case in fs::read_dir(&root).expect("golden cases").map(|entry| entry.expect("a case").path()) {
        let expected = fs::read_to_string(case.join("alerts.jsonl")).expect("alerts");
        if !expected.contains(r#""served":{"calls":"#) || case.join("arguments").exists() {
            continue;
        }
        served += 1;
        for jobs in ["1", "2", "7"] {
            let arguments = ["--format", "json", "--jobs", jobs, "input"];
            let output =
                Command::new(env!("CARGO_BIN_EXE_replay")).args(arguments).current_dir(&case).output();
            let printed = String::from_utf8(output.expect("replay runs").stdout).expect("text");
            assert_eq!(printed, expected, "{} with {jobs} jobs", case.display());
        }
    }
    assert!(served > 10, "{served} cases of served calls");
}
