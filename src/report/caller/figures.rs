//! Figures as people read them.

/// `1 call`, `1,042 calls`.
pub fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `1,042,000`.
pub fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}
