//! Suggests what may be meant by an unknown name.

use crate::error::suggest;

/// Names of other systems that resemble none of ours, each with the names that may be meant.
/// The first of these that a route takes is suggested.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("client", &["parent", "root_id"]),
    ("client_id", &["parent", "root_id", "id"]),
    ("client_location_id", &["id"]),
    ("location_id", &["id"]),
    ("parent", &["root_id"]),
    ("parent_id", &["parent", "root_id"]),
    ("root_id", &["parent"]),
    ("location", &["primary_location"]),
    ("q", &["search"]),
    ("query", &["search"]),
    ("s", &["search"]),
    ("term", &["search"]),
    ("limit", &["per_page"]),
    ("first", &["per_page"]),
    ("page_size", &["per_page"]),
    ("size", &["per_page"]),
    ("offset", &["page"]),
    ("p", &["page"]),
    ("page_number", &["page"]),
    ("skip", &["page"]),
    ("start", &["page"]),
    ("direction", &["dir"]),
    ("order", &["dir"]),
    ("order_by", &["dir"]),
    ("sort", &["dir"]),
    ("sort_by", &["dir"]),
    ("count", &["mode"]),
    ("created_after", &["created_from"]),
    ("created_at", &["created_from"]),
    ("created_before", &["created_to"]),
    ("created_since", &["created_from"]),
    ("modified_since", &["updated_from"]),
    ("since", &["updated_from"]),
    ("updated_after", &["updated_from"]),
    ("updated_at", &["updated_from"]),
    ("updated_before", &["updated_to"]),
    ("updated_since", &["updated_from"]),
    ("address", &["address_1"]),
    ("street", &["address_1"]),
    ("code", &["account_code"]),
    ("company", &["name"]),
    ("title", &["name"]),
    ("comments", &["notes"]),
    ("description", &["notes"]),
    ("country_code", &["country"]),
    ("email", &["email_invoice"]),
    ("fax", &["phone_fax"]),
    ("phone", &["phone_primary"]),
    ("post_code", &["zip"]),
    ("postal_code", &["zip"]),
    ("postcode", &["zip"]),
    ("zip_code", &["zip"]),
    ("zipcode", &["zip"]),
    ("province", &["state"]),
    ("region", &["state"]),
    ("state_code", &["state"]),
    ("url", &["website"]),
    ("homepage", &["website"]),
];

/// A question to append to the message about an unknown name, if one of the `accepted` names
/// may be meant. Otherwise an empty text.
#[must_use]
pub fn did_you_mean(wrong: &str, accepted: &[&str]) -> String {
    let synonym = SYNONYMS.iter().find(|(name, _)| *name == wrong);
    let meant = synonym.and_then(|(_, meant)| {
        let mut meant = meant.iter().copied();
        meant.find(|name| accepted.contains(name))
    });
    match meant.or_else(|| suggest::nearest(wrong, accepted.iter().copied())) {
        Some(name) => format!(" (did you mean {name}?)"),
        None => String::new(),
    }
}
