//! The command that mutes a caller, ready to paste.

use super::display::shown;

/// The longest ARN in it, in bytes: longer than any that AWS documents.
const MAX_ARN_BYTES: usize = 512;

/// `make mute …` for `caller` in `account`. `None` if nobody in particular called, or if the ARN holds
/// anything that a shell, a mail client or `make` would act on: callers choose parts of it.
pub(super) fn mute_command(account: Option<&str>, caller: Option<&str>) -> Option<String> {
    let arn = caller.filter(|arn| arn.starts_with("arn:aws") && arn.len() <= MAX_ARN_BYTES)?;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || ":/_+=,.@-".contains(character);
    if !arn.chars().all(is_plain) || shown(Some(arn)) != arn {
        return None;
    }
    let account = account?;
    let is_own = arn.split(':').nth(4) == Some(account);
    let called = if is_own { String::new() } else { format!(" ACCOUNT={account}") };
    let is_id = account.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| format!("make mute CALLER={arn}{called} FOR=7d WHY=\"reason\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(account: Option<&str>, caller: Option<&str>, expected: Option<&str>) {
        assert_eq!(mute_command(account, caller).as_deref(), expected, "{account:?} {caller:?}");
    }

    #[test]
    fn a_command_is_given_only_where_it_can_be_pasted() {
        let role = "arn:aws:sts::111122223333:assumed-role/App";
        let command = "make mute CALLER=arn:aws:sts::111122223333:assumed-role/App FOR=7d WHY=\"reason\"";
        check(Some("111122223333"), Some(role), Some(command));
        let from_outside = command.replace("App", "App ACCOUNT=444455556666");
        check(Some("444455556666"), Some(role), Some(&from_outside));
        let person = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/ann@example.com";
        let command = format!("make mute CALLER={person} FOR=7d WHY=\"reason\"");
        check(Some("1"), Some(person), Some(&command));
        let all = "arn:aws:sts::1:federated-user";
        let command = format!("make mute CALLER={all} FOR=7d WHY=\"reason\"");
        check(Some("1"), Some(all), Some(&command));
        check(Some("1"), None, None);
        check(None, Some(role), None);
        check(Some("$(id)"), Some(role), None);
        for bad in [
            "user/$(id)",
            "user/`id`",
            "user/a b",
            "user/a;b",
            "user/a'b",
            "user/www.evil.example/x",
            "user/ü",
        ] {
            check(Some("1"), Some(&format!("arn:aws:iam::1:{bad}")), None);
        }
        check(Some("1"), Some("root"), None);
        check(Some("1"), Some(&format!("arn:aws:iam::1:user/{}", "a".repeat(600))), None);
    }
}
