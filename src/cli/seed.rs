//! `clientele seed`: fills a database with plausible demo data. The data of a client
//! depends only on its number, so the same command makes the same data. The log of changes
//! does not mention it.

use std::io::{Write, stdout};

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{client, client_location as location};
use fake::{
    Fake,
    faker::{
        address::en::{BuildingNumber, CityName, SecondaryAddress, StateAbbr, StreetName},
        company::en::{CatchPhrase, CompanyName},
        phone_number::en::PhoneNumber,
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, PaginatorTrait};

use super::{check_current, migrate, open};
use crate::{
    config::{DatabaseOptions, SeedOptions},
    records::{
        fold::fold,
        list::row_counts::{self, RowCounts},
    },
    storage::connections::fault::Redacted,
    storage::database::Database,
};

/// Clients in one transaction. With up to four locations each, they stay below the
/// number of values that an SQLite statement takes.
const BATCH: u64 = 250;
/// Clients after which the row counts are merged, since no reader merges them meanwhile.
const MERGE_AFTER: u64 = 40 * BATCH;
/// 2020-01-01: when the first demo client was created.
const FIRST_INSTANT: i64 = 1_577_836_800;
/// Seconds between the creation of two demo clients.
const SECONDS_APART: i64 = 20;
/// Staff of the other system that demo clients are assigned to.
const STAFF: i64 = 200;
const CANADIAN_PROVINCES: [&str; 6] = ["AB", "BC", "MB", "NS", "ON", "QC"];
const BRANCHES: [&str; 6] = [
    "Downtown Office",
    "Airport Branch",
    "Claims Department",
    "Warehouse",
    "Regional Office",
    "Legal Department",
];

/// Adds the clients, numbered after the existing ones.
pub async fn run(options: &SeedOptions) -> Result<()> {
    let database = open_filled(&options.database).await?;
    let before = client::Entity::find().count(&database.reader).await?;
    let end = before + u64::from(options.clients);

    let style = "{bar:40} {human_pos}/{human_len} clients, {per_sec}, {eta} left";
    let bar =
        ProgressBar::new(options.clients.into()).with_style(ProgressStyle::with_template(style)?);
    let mut locations = 0;
    let mut first = before;
    while first < end {
        let last = end.min(first + BATCH);
        locations += add(&database, first..last).await?;
        bar.inc(last - first);
        first = last;
        if first == end || (first - before).is_multiple_of(MERGE_AFTER) {
            let counts = RowCounts::new(database.reader.get_database_backend());
            for row_count in [&counts.clients, &counts.locations] {
                // The clients are there all the same, and a gateway will merge the row counts.
                if let Err(error) = row_counts::merge(&database, row_count).await {
                    eprintln!("cannot merge a row count: {}", Redacted(&error));
                }
            }
        }
    }
    bar.finish_and_clear();
    writeln!(
        stdout(),
        "added {} clients with {locations} locations",
        options.clients
    )?;
    Ok(())
}

/// Opens the database. An empty one gets its schema.
async fn open_filled(options: &DatabaseOptions) -> Result<Database> {
    let database = open(options).await?;
    if database.steps().await?.has_some {
        check_current(&database).await?;
        return Ok(database);
    }
    let (transaction, _) = migrate::up(&database, |message| eprintln!("{message}")).await?;
    transaction.commit().await?;
    Ok(database)
}

/// Adds the clients with these numbers; returns how many locations they have.
async fn add(database: &Database, numbers: std::ops::Range<u64>) -> Result<usize> {
    let demos: Vec<_> = numbers.map(Demo::new).collect();
    let transaction = database.begin_unhurried().await?;
    let clients = demos.iter().map(|demo| demo.client.clone());
    let mut ids = client::Entity::insert_many(clients)
        .exec_with_returning_keys(&transaction)
        .await?;
    ensure!(
        ids.len() == demos.len(),
        "the database kept fewer clients than it was given"
    );
    // Ids are given in the order of the rows, but may come back in another.
    ids.sort_unstable();
    let locations: Vec<_> = ids
        .into_iter()
        .zip(demos)
        .flat_map(|(id, demo)| {
            demo.locations.into_iter().map(move |mut location| {
                location.client_id = Set(id);
                location
            })
        })
        .collect();
    let count = locations.len();
    location::Entity::insert_many(locations)
        .exec_without_returning(&transaction)
        .await?;
    transaction.commit().await?;
    Ok(count)
}

/// A demo client with its locations.
struct Demo {
    client: client::ActiveModel,
    locations: Vec<location::ActiveModel>,
}

impl Demo {
    fn new(number: u64) -> Self {
        let mut random = StdRng::seed_from_u64(number);
        let name: String = CompanyName().fake_with_rng(&mut random);
        let domain = domain(&name, number);
        let created_at = created_at(number, &mut random);
        let changes = random.random_range(0..4);
        let updated_at =
            created_at + TimeDelta::milliseconds(random.random_range(1..2_000_000_000)) * changes;
        let account_code = random.random_bool(0.8).then(|| format!("AC-{number:06}"));
        let count = random.random_range(1..=4);
        let locations = (0..count)
            .map(|index| branch(index, &domain, created_at, &mut random))
            .collect();
        let client = client::ActiveModel {
            id: sea_orm::ActiveValue::NotSet,
            name_key: Set(fold(&name)),
            name: Set(name),
            account_code_key: Set(account_code.as_deref().map(fold)),
            account_code: Set(account_code),
            website: Set(random
                .random_bool(0.7)
                .then(|| format!("https://www.{domain}"))),
            email_invoice: Set(random.random_bool(0.9).then(|| format!("billing@{domain}"))),
            notes: Set(random
                .random_bool(0.3)
                .then(|| CatchPhrase().fake_with_rng(&mut random))),
            has_invoice_reminders: Set(random.random_bool(0.5)),
            show_location_on_invoice: Set(random.random_bool(0.5)),
            salesperson: Set(staff(&mut random)),
            case_manager: Set(staff(&mut random)),
            created_at: Set(created_at),
            updated_at: Set(updated_at),
            version: Set(changes + 1),
        };
        Self { client, locations }
    }
}

fn branch(
    index: usize,
    domain: &str,
    created_at: DateTime<Utc>,
    random: &mut StdRng,
) -> location::ActiveModel {
    let name = match index {
        0 => "Main Location",
        _ => BRANCHES.choose(random).copied().unwrap_or("Branch"),
    };
    let (state, country) = if random.random_bool(0.1) {
        let province = CANADIAN_PROVINCES.choose(random).copied().unwrap_or("ON");
        (province.to_owned(), "CA")
    } else {
        (StateAbbr().fake_with_rng(random), "US")
    };
    let street: String = StreetName().fake_with_rng(random);
    let building: String = BuildingNumber().fake_with_rng(random);
    location::ActiveModel {
        is_primary: Set(index == 0),
        name: Set(name.to_owned()),
        name_key: Set(fold(name)),
        email_invoice: Set(random
            .random_bool(0.5)
            .then(|| format!("branch{index}@{domain}"))),
        address_1: Set(Some(format!("{building} {street}"))),
        address_2: Set(random
            .random_bool(0.3)
            .then(|| SecondaryAddress().fake_with_rng(random))),
        address_3: Set(None),
        city: Set(Some(CityName().fake_with_rng(random))),
        state: Set(state),
        zip: Set(Some(format!("{:05}", random.random_range(501..99_951)))),
        country: Set(country.to_owned()),
        phone_primary: Set(Some(PhoneNumber().fake_with_rng(random))),
        phone_secondary: Set(None),
        phone_fax: Set(random
            .random_bool(0.2)
            .then(|| PhoneNumber().fake_with_rng(random))),
        notes: Set(None),
        created_at: Set(created_at),
        updated_at: Set(created_at),
        version: Set(1),
        ..Default::default()
    }
}

fn created_at(number: u64, random: &mut StdRng) -> DateTime<Utc> {
    let number = i64::try_from(number).unwrap_or_default();
    let seconds = FIRST_INSTANT + number * SECONDS_APART;
    let milliseconds = seconds * 1_000 + random.random_range(0..1_000);
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

fn staff(random: &mut StdRng) -> Option<i64> {
    random
        .random_bool(0.9)
        .then(|| random.random_range(1..=STAFF))
}

/// A host name below `.example`, which nobody can own (RFC 2606).
fn domain(name: &str, number: u64) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let label: String = letters.take(40).collect();
    format!("{}{number}.example", label.to_ascii_lowercase())
}
