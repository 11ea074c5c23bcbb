//! How much a GraphQL document may ask for: see `graphql/operation/limits.rs`.

use clap::Args;

/// How much a GraphQL document may ask for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// The longest query text, in bytes
    #[arg(long, env = "MAX_QUERY_BYTES", default_value_t = Self::default().max_query_bytes, value_name = "N")]
    pub max_query_bytes: usize,
    /// The most tokens in a query
    #[arg(long, env = "MAX_QUERY_TOKENS", default_value_t = Self::default().max_query_tokens, value_name = "N")]
    pub max_query_tokens: usize,
    /// How deep a query may nest its fields
    #[arg(long, env = "MAX_QUERY_DEPTH", default_value_t = Self::default().max_query_depth, value_name = "N")]
    pub max_query_depth: u64,
    /// The most fields in a query, once its fragments are expanded
    #[arg(long, env = "MAX_QUERY_FIELDS", default_value_t = Self::default().max_query_fields, value_name = "N")]
    pub max_query_fields: u64,
    /// The most aliases in a query, once its fragments are expanded
    #[arg(long, env = "MAX_QUERY_ALIASES", default_value_t = Self::default().max_query_aliases, value_name = "N")]
    pub max_query_aliases: u64,
    /// The most records that a query may ask for, by its page sizes
    #[arg(long, env = "MAX_QUERY_RECORDS", default_value_t = Self::default().max_query_records, value_name = "N")]
    pub max_query_records: u64,
    /// The most values in the answer to a query, by its page sizes
    #[arg(long, env = "MAX_QUERY_VALUES", default_value_t = Self::default().max_query_values, value_name = "N")]
    pub max_query_values: u64,
    /// The highest price of the lists in a query: the rows that the database may have to touch, as
    /// foreseen. A price of a million takes about a second of a processor. A query with one root
    /// field may cost four times as much
    #[arg(long, env = "MAX_QUERY_PRICE", default_value_t = Self::default().max_query_price, value_name = "N")]
    pub max_query_price: u64,
    /// The largest answer, in bytes
    #[arg(long, env = "MAX_ANSWER_BYTES", default_value_t = Self::default().max_answer_bytes, value_name = "N")]
    pub max_answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_query_bytes: 64 * 1024,
            max_query_tokens: 5_000,
            max_query_depth: 10,
            max_query_fields: 1_000,
            max_query_aliases: 30,
            max_query_records: 30_000,
            max_query_values: 1_000_000,
            max_query_price: 500_000,
            max_answer_bytes: 16 * 1024 * 1024,
        }
    }
}
