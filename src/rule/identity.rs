//! Who an ARN names, without what its owner may choose freely.

/// An assumed role's session names are chosen by whoever assumes it, and a federated user's name by whoever
/// calls `GetFederationToken`. Everything else in an ARN takes a change in IAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The identity that people hear about: a role without its session, all federated users of the account
    /// together, a person's session, or the user.
    pub caller: &'a str,
    /// The ARN of an assumed role without its session.
    pub role: Option<&'a str>,
    /// The session of an assumed role, or the name of a federated user.
    pub session: Option<&'a str>,
    /// Whether the role is one that IAM Identity Center assigns to people: each session is one person.
    pub is_person: bool,
}

const ROLE: &str = "assumed-role/";
const FEDERATED: &str = "federated-user";

impl<'a> Identity<'a> {
    /// Who `user` is, an ARN as logged.
    #[must_use]
    pub fn of(user: &'a str) -> Self {
        let itself = Self { caller: user, role: None, session: None, is_person: false };
        let Some(resource) = resource_of_sts(user) else { return itself };
        let Some((owner, session)) = member(resource) else { return itself };
        let Some(before) = user.strip_suffix(session).and_then(|rest| rest.strip_suffix('/')) else {
            return itself;
        };
        match owner {
            Owner::Role(name) => {
                let is_person = is_personal(name);
                let caller = if is_person { user } else { before };
                Self { caller, role: Some(before), session: Some(session), is_person }
            }
            Owner::FederatedUsers => Self { caller: before, session: Some(session), ..itself },
        }
    }

    /// Whether `caller` includes all the sessions or names that follow it and a slash.
    #[must_use]
    pub fn has_members(caller: &str) -> bool {
        resource_of_sts(caller).is_some_and(|resource| {
            let role = resource.strip_prefix(ROLE);
            resource == FEDERATED || role.is_some_and(|name| !name.is_empty() && !name.contains('/'))
        })
    }

    /// Whether `caller` is all federated users of an account.
    #[must_use]
    pub fn is_federated(caller: &str) -> bool {
        resource_of_sts(caller) == Some(FEDERATED)
    }
}

enum Owner<'a> {
    /// By name.
    Role(&'a str),
    FederatedUsers,
}

/// Source: "IAM identifiers" in the AWS IAM user guide; neither the name of a role nor that of its session
/// holds a slash.
fn member(resource: &str) -> Option<(Owner<'_>, &str)> {
    let (owner, session) = match resource.strip_prefix(ROLE) {
        Some(rest) => {
            let (name, session) = rest.split_once('/').filter(|(name, _)| !name.is_empty())?;
            (Owner::Role(name), session)
        }
        None => (Owner::FederatedUsers, resource.strip_prefix(FEDERATED)?.strip_prefix('/')?),
    };
    (!session.is_empty()).then_some((owner, session))
}

/// What follows the account in `arn:aws:sts::111122223333:assumed-role/NAME/SESSION`, in any partition.
fn resource_of_sts(user: &str) -> Option<&str> {
    // Every record passes here: the parts are short, and a loop over bytes is the fastest search.
    let behind = |text: &'_ str| text.bytes().position(|byte| byte == b':').map(|at| at.saturating_add(1));
    let partition = user.strip_prefix("arn:")?;
    let region = partition.get(behind(partition)?..)?.strip_prefix("sts:")?;
    let account = region.get(behind(region)?..)?;
    account.get(behind(account)?..)
}

/// Whether a role of this name is a person's: `AWSReservedSSO_<permission set>_<16 hexadecimal digits>`. The
/// beginning alone proves nothing: whoever may create a role may name it so.
///
/// Source: "Referencing permission sets in resource policies" in the IAM Identity Center user guide; AWS writes
/// the digits in lower case.
fn is_personal(role: &str) -> bool {
    let Some((set, suffix)) = role.strip_prefix("AWSReservedSSO_").and_then(|rest| rest.rsplit_once('_'))
    else {
        return false;
    };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !set.is_empty() && suffix.len() == 16 && suffix.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// `role session caller`, where `=` is the user itself; `!` marks a person.
    #[track_caller]
    fn check(user: &str, expected: &str) {
        let Identity { caller, role, session, is_person } = Identity::of(user);
        let caller = if caller == user { "=" } else { caller };
        let mark = if is_person { "!" } else { "" };
        let shown = format!("{} {} {caller}{mark}", role.unwrap_or("-"), session.unwrap_or("-"));
        assert_eq!(shown, expected, "{user}");
    }

    #[test]
    fn a_role_is_one_caller_without_its_session() {
        let role = "arn:aws:sts::111122223333:assumed-role/App";
        check(&format!("{role}/i-0a1b"), &format!("{role} i-0a1b {role}"));
        let role = "arn:aws-us-gov:sts::1:assumed-role/A";
        check(&format!("{role}/b:c"), &format!("{role} b:c {role}"));
        check(&format!("{role}/b/c"), &format!("{role} b/c {role}"));
        let role = "arn:aws-cn:sts::1:assumed-role/A";
        check(&format!("{role}/assumed-role"), &format!("{role} assumed-role {role}"));
        let agent = "arn:aws:sts::1:assumed-role/AmazonBedrockExecutionRoleForAgents_X";
        check(&format!("{agent}/BedrockAgents-3f"), &format!("{agent} BedrockAgents-3f {agent}"));
    }

    #[test]
    fn all_federated_users_of_an_account_are_one_caller() {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            let all = format!("arn:{partition}:sts::1:federated-user");
            check(&format!("{all}/eve"), &format!("- eve {all}"));
            check(
                &format!("{all}/AWSReservedSSO_A_0123456789abcdef"),
                &format!("- AWSReservedSSO_A_0123456789abcdef {all}"),
            );
            check(&format!("{all}/assumed-role/x"), &format!("- assumed-role/x {all}"));
        }
    }

    #[test]
    fn every_other_user_is_itself() {
        for user in [
            "arn:aws:iam::1:user/eve",
            "arn:aws:iam::1:user/federated-user/eve",
            "arn:aws:iam::1:user/:sts::1:assumed-role/App/eve",
            "arn:aws:iam::1:root",
            "arn:aws:iam::111122223333:assumed-role/App/s",
            "arn:aws:sts::1:assumed-role/App",
            "arn:aws:sts::1:assumed-role/App/",
            "arn:aws:sts::1:assumed-role//s",
            "arn:aws:sts::1:federated-user",
            "arn:aws:sts::1:federated-user/",
            "arn:aws:sts::1:federated-users/x",
            "assumed-role/App/s",
            "",
        ] {
            check(user, "- - =");
        }
    }

    #[test]
    fn only_a_whole_name_of_identity_center_is_a_persons() {
        let person = |role: &str| {
            let user = format!("arn:aws:sts::1:assumed-role/{role}/ann@example.com");
            let Identity { caller, is_person, .. } = Identity::of(&user);
            assert_eq!(caller == user, is_person, "{user}");
            is_person
        };
        for role in [
            "AWSReservedSSO_Admin_0123456789abcdef",
            "AWSReservedSSO_a_b_1234567890abcdef",
            "AWSReservedSSO_x+=,.@-_aaaaaaaaaaaaaaaa",
        ] {
            assert!(person(role), "{role}");
        }
        for role in [
            "AWSReservedSSO_x",
            "AWSReservedSSO_",
            "AWSReservedSSO_Admin_0a1b",
            "AWSReservedSSO_0123456789abcdef",
            "AWSReservedSSO__0123456789abcdef",
            "AWSReservedSSO_x_0123456789abcde",
            "AWSReservedSSO_x_0123456789abcdef0",
            "AWSReservedSSO_x0123456789abcdef",
            "AWSReservedSSO_x_0123456789abcdeg",
            "AWSReservedSSO_x_0123456789ABCDEF",
            "AWSReservedSSO_x_0123456789abcdef_",
            "AWSReservedSSO_x_０123456789abcde",
            "awsreservedsso_x_0123456789abcdef",
            "xAWSReservedSSO_x_0123456789abcdef",
        ] {
            assert!(!person(role), "{role}");
        }
    }

    #[test]
    fn scripts_and_the_function_agree_on_who_called() {
        let users: BTreeMap<String, String> =
            serde_json::from_str(include_str!("../../tests/fixtures/callers.json")).expect("callers");
        for (user, caller) in users {
            assert_eq!(Identity::of(&user).caller, caller, "{user}");
        }
    }

    #[test]
    fn a_caller_with_members_is_known_by_its_arn() {
        for caller in ["arn:aws:sts::1:assumed-role/App", "arn:aws-cn:sts::1:federated-user"] {
            assert!(Identity::has_members(caller), "{caller}");
        }
        for caller in [
            "arn:aws:sts::1:assumed-role/AWSReservedSSO_x_0123456789abcdef/ann",
            "arn:aws:sts::1:assumed-role/",
            "arn:aws:iam::1:user/federated-user",
            "arn:aws:iam::1:root",
            "",
        ] {
            assert!(!Identity::has_members(caller), "{caller}");
        }
    }

    proptest! {
        #[test]
        fn a_caller_is_its_own_caller(user in "(arn:aws:(sts|iam)::1:)?(assumed-role|federated-user|user)?(/[a-z:/é]{0,6}){0,4}") {
            let caller = Identity::of(&user).caller;
            prop_assert_eq!(Identity::of(caller).caller, caller);
        }
    }
}
