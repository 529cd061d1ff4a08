//! Figures as people read them.

use crate::alert::words::thousands;

/// `1 call`, `1,042 calls`.
pub fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `about $1,234.50`.
pub fn dollars(usd: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and rounded"
    )]
    let cents = (usd * 100.0).round() as u64;
    match cents {
        0 if usd > 0.0 => "less than $0.01".to_owned(),
        _ => format!("about ${}.{:02}", thousands(cents / 100), cents % 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_rounded_to_cents_and_never_to_nothing() {
        let shown = [0.0, 0.004, 0.07, 1234.5].map(dollars);
        assert_eq!(shown, ["about $0.00", "less than $0.01", "about $0.07", "about $1,234.50"]);
    }
}
