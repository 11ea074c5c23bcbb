//! The rule for country codes.

/// The one user-assigned code of ISO that has come into wide use: Kosovo.
const USER_ASSIGNED: &str = "XK";
/// Codes that no country has, or has any more, with those that are probably meant. ISO
/// reserves most of them, so that no other country gets them.
const RESERVED: [(&str, &str); 17] = [
    ("UK", "GB"),
    ("EL", "GR"),
    ("AC", "SH"),
    ("TA", "SH"),
    ("AN", "CW, SX or BQ"),
    ("BU", "MM"),
    ("CS", "RS, ME, CZ or SK"),
    ("DD", "DE"),
    ("DG", "IO"),
    ("EA", "ES"),
    ("FX", "FR"),
    ("IC", "ES"),
    ("SF", "FI"),
    ("SU", "RU"),
    ("TP", "TL"),
    ("YU", "RS"),
    ("ZR", "CD"),
];

/// All codes that [`country`] takes, in upper case.
pub fn country_codes() -> impl Iterator<Item = &'static str> {
    let countries = rust_iso3166::ALL_ALPHA2.iter().copied();
    countries.chain([USER_ASSIGNED])
}

/// An ISO 3166-1 alpha-2 country code that exists, or that of Kosovo, stored in upper
/// case.
///
/// # Errors
/// If it is anything else.
pub fn country(text: &str) -> Result<String, String> {
    let code = text.trim().to_ascii_uppercase();
    if code.is_empty() {
        return Err("is required: a country code of 2 letters".to_owned());
    }
    if code == USER_ASSIGNED || rust_iso3166::from_alpha2(&code).is_some() {
        return Ok(code);
    }
    let reserved = RESERVED.iter().find(|(known, _)| *known == code);
    let meant = match reserved {
        Some((_, meant)) => Some(*meant),
        None => rust_iso3166::from_alpha3(&code).map(|country| country.alpha2),
    };
    Err(match meant {
        Some(meant) => {
            format!("must be an ISO 3166-1 alpha-2 country code (did you mean {meant}?)")
        }
        None => "must be an ISO 3166-1 alpha-2 country code, such as US".to_owned(),
    })
}
