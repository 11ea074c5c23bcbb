//! Batch loaders: what sibling fields ask for one by one, the database is asked
//! for at once. They are made per request, for they hold its state.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use dataloader::{BatchFn, non_cached::Loader};
use entity::{client, client_location};
use sea_orm::{DatabaseConnection, DbErr};

use crate::{
    clients,
    error::{Error, Result},
    locations,
    paging::{Page, PageRequest},
};

/// Batches of a full page, and some more.
const MAX_BATCH: usize = 1_000;

type Batches<Key, Value, Batch> = Loader<Key, Result<Value>, Batch>;

/// The loaders of one request.
pub struct Loaders {
    clients: Batches<i64, client::Model, Clients>,
    primary_locations: Batches<i64, client_location::Model, PrimaryLocations>,
    locations: Batches<LocationsKey, Page<client_location::Model>, Locations>,
    location_counts: Batches<i64, i64, LocationCounts>,
}

impl Loaders {
    /// Loaders that read from `db`.
    #[must_use]
    pub fn new(db: &DatabaseConnection) -> Self {
        Self {
            clients: loader(Clients(db.clone())),
            primary_locations: loader(PrimaryLocations(db.clone())),
            locations: loader(Locations(db.clone())),
            location_counts: loader(LocationCounts(db.clone())),
        }
    }

    /// The client of a location.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn client(&self, id: i64) -> Result<client::Model> {
        load(&self.clients, id).await
    }

    /// The primary location of a client.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn primary_location(&self, client_id: i64) -> Result<client_location::Model> {
        load(&self.primary_locations, client_id).await
    }

    /// A page of the locations of a client, by id from the start.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn locations(
        &self,
        client_id: i64,
        request: &PageRequest,
    ) -> Result<Page<client_location::Model>> {
        let key = LocationsKey {
            client_id,
            slice: Slice {
                after: request.after.as_ref().map(|position| position.id),
                limit: request.limit,
                look_back: request.look_back,
            },
        };
        load(&self.locations, key).await
    }

    /// How many locations a client has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_locations(&self, client_id: i64) -> Result<i64> {
        load(&self.location_counts, client_id).await
    }
}

fn loader<Key, Value, Batch>(batch: Batch) -> Batches<Key, Value, Batch>
where
    Key: Clone + Eq + Hash + std::fmt::Debug,
    Value: Clone,
    Batch: BatchFn<Key, Result<Value>>,
{
    // Siblings are resolved in one sweep, so a single yield collects them all.
    Loader::new(batch)
        .with_yield_count(1)
        .with_max_batch_size(MAX_BATCH)
}

async fn load<Key, Value, Batch>(loader: &Batches<Key, Value, Batch>, key: Key) -> Result<Value>
where
    Key: Clone + Eq + Hash + std::fmt::Debug,
    Value: Clone,
    Batch: BatchFn<Key, Result<Value>>,
{
    match loader.try_load(key).await {
        Ok(result) => result,
        Err(missing) => Err(Error::Internal(Arc::new(missing))),
    }
}

/// Gives every key its value, or the reason why there is none. A loader must
/// answer for every key that it was asked for.
fn answer<Key, Value>(
    keys: &[Key],
    found: Result<HashMap<Key, Value>>,
) -> HashMap<Key, Result<Value>>
where
    Key: Clone + Eq + Hash + std::fmt::Debug,
{
    let (mut found, error) = match found {
        Ok(found) => (found, None),
        Err(error) => (HashMap::new(), Some(error)),
    };
    let answer = |key: &Key| {
        let value = found.remove(key).ok_or_else(|| {
            error
                .clone()
                .unwrap_or_else(|| DbErr::RecordNotFound(format!("what {key:?} refers to")).into())
        });
        (key.clone(), value)
    };
    keys.iter().map(answer).collect()
}

struct Clients(DatabaseConnection);

impl BatchFn<i64, Result<client::Model>> for Clients {
    async fn load(&mut self, ids: &[i64]) -> HashMap<i64, Result<client::Model>> {
        let found = clients::find_many(&self.0, ids).await;
        answer(
            ids,
            found.map(|rows| rows.into_iter().map(|row| (row.id, row)).collect()),
        )
    }
}

struct PrimaryLocations(DatabaseConnection);

impl BatchFn<i64, Result<client_location::Model>> for PrimaryLocations {
    async fn load(&mut self, client_ids: &[i64]) -> HashMap<i64, Result<client_location::Model>> {
        let found = locations::find_primaries(&self.0, client_ids).await;
        answer(
            client_ids,
            found.map(|rows| rows.into_iter().map(|row| (row.client_id, row)).collect()),
        )
    }
}

/// A page of one client's locations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LocationsKey {
    client_id: i64,
    slice: Slice,
}

/// Which locations of each client. Fields with the same arguments share it, and a
/// statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slice {
    after: Option<i64>,
    limit: u64,
    look_back: bool,
}

struct Locations(DatabaseConnection);

impl BatchFn<LocationsKey, Result<Page<client_location::Model>>> for Locations {
    async fn load(
        &mut self,
        keys: &[LocationsKey],
    ) -> HashMap<LocationsKey, Result<Page<client_location::Model>>> {
        let mut slices: HashMap<Slice, Vec<i64>> = HashMap::new();
        for key in keys {
            slices.entry(key.slice).or_default().push(key.client_id);
        }
        let mut pages = HashMap::with_capacity(keys.len());
        for (slice, client_ids) in slices {
            let found = self.pages(slice, &client_ids).await;
            for (client_id, page) in answer(&client_ids, found) {
                pages.insert(LocationsKey { client_id, slice }, page);
            }
        }
        pages
    }
}

impl Locations {
    async fn pages(
        &self,
        slice: Slice,
        client_ids: &[i64],
    ) -> Result<HashMap<i64, Page<client_location::Model>>> {
        let mut pages: HashMap<i64, Page<client_location::Model>> =
            client_ids.iter().map(|id| (*id, Page::default())).collect();
        let limit = usize::try_from(slice.limit).unwrap_or(usize::MAX);
        // One more than asked for tells whether there are more.
        let rows =
            locations::first_of_each(&self.0, client_ids, slice.after, slice.limit + 1).await?;
        for row in rows {
            if let Some(page) = pages.get_mut(&row.client_id) {
                if page.rows.len() < limit {
                    page.rows.push(row);
                } else {
                    page.has_next = true;
                }
            }
        }
        if slice.after.is_some() && slice.look_back {
            let earlier = locations::count_of_each(&self.0, client_ids, slice.after).await?;
            for (client_id, count) in earlier {
                if let Some(page) = pages.get_mut(&client_id) {
                    page.has_previous = count > 0;
                }
            }
        }
        Ok(pages)
    }
}

struct LocationCounts(DatabaseConnection);

impl BatchFn<i64, Result<i64>> for LocationCounts {
    async fn load(&mut self, client_ids: &[i64]) -> HashMap<i64, Result<i64>> {
        let counts = locations::count_of_each(&self.0, client_ids, None).await;
        answer(
            client_ids,
            counts.map(|counts| counts.into_iter().collect()),
        )
    }
}
