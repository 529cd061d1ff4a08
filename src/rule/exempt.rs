//! Globs on user ARNs that exempt more users than they seem to.

/// What an operator should know about the exemption of `glob`, a glob on user ARNs: a path in IAM may hold any
/// text, the end of another ARN too, so whoever may create a user could exempt it.
#[must_use]
pub fn warning(glob: &str) -> Option<&'static str> {
    could_match_a_path(glob).then_some(
        "an IAM user whose path contains this text is exempt as well; begin the glob with the service, and with the \
         account for IAM users, such as arn:aws:sts::*:assumed-role/x/* or arn:aws:iam::111122223333:user/x",
    )
}

/// Whether a `*` before the resource of an ARN could match an account and the path of a user.
fn could_match_a_path(glob: &str) -> bool {
    let Some(first) = glob.find(['*', '?', '[']) else { return false };
    let (literal, rest) = glob.split_at(first);
    // Everything below the literal part is exempt anyway.
    if rest.chars().all(|one| one == '*') || !rest.contains('*') {
        return false;
    }
    let is_arn = literal.starts_with("arn:") || "arn:".starts_with(literal);
    let parts: Vec<&str> = literal.splitn(6, ':').collect();
    // No ARN of STS has a path, and a resource that begins literally is no longer a path of another.
    let is_anchored = match parts[..] {
        [_, _, service, _, ..] if service != "iam" => true,
        [_, _, _, _, _, _] => true,
        _ => false,
    };
    is_arn && !is_anchored
}

#[cfg(test)]
mod tests {
    use glob::Pattern;

    use super::*;

    #[test]
    fn a_glob_that_a_path_could_match_is_warned_about() {
        // The path of a user in IAM holds any ASCII, slashes at both ends.
        let poses = [
            "arn:aws:iam::1:user/:assumed-role/x/eve",
            "arn:aws:iam::1:user/a:sts::1:assumed-role/x/eve",
            "arn:aws:iam::1:user/load-test/eve",
            "arn:aws:iam::1:user/a:user/x/eve",
            "arn:aws:iam::1:user/a:federated-user/x",
        ];
        for glob in [
            "*:assumed-role/x/*",
            "?*:assumed-role/x/*",
            "[a]*:assumed-role/x/*",
            "*assumed-role/x/*",
            "*:federated-user/x",
            "*/load-test/*",
            "a*:assumed-role/x/*",
            "arn:*:assumed-role/x/*",
            "arn:aws:*:assumed-role/x/*",
            "arn:aws*:sts::*:assumed-role/x/*",
            "arn:*:sts::*:assumed-role/x/*",
            "arn:aws:iam::*:user/x/*",
        ] {
            assert!(warning(glob).is_some(), "{glob}");
            let pattern = Pattern::new(glob).expect("a glob");
            assert!(
                poses.iter().any(|user| pattern.matches(user)),
                "{glob} matches none: not worth a warning"
            );
        }
        for glob in [
            "arn:aws:sts::*:assumed-role/x/*",
            "arn:aws-us-gov:sts::*:assumed-role/x/*",
            "arn:aws:sts::111122223333:assumed-role/*-test/*",
            "arn:aws:sts::*:federated-user/*",
            "arn:aws:iam::111122223333:user/x*",
            "arn:aws:iam::111122223333:user/*-bot",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::11112222333?:user/x",
            "*",
            "arn:aws:iam::*",
            "load-*-test",
            "",
        ] {
            assert_eq!(warning(glob), None, "{glob}");
            let pattern = Pattern::new(glob).expect("a glob");
            let everyone = glob.ends_with('*') && !glob.contains("user/") && !glob.contains("role/");
            assert!(everyone || !poses.iter().any(|user| pattern.matches(user)), "{glob} matches a path");
        }
    }
}
