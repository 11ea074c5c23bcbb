//! Batch loaders: sibling fields ask for records one by one, and one statement reads them all.
//! Loaders are made per request, because they hold its state.

use std::{
    collections::HashMap,
    future::poll_fn,
    hash::Hash,
    marker::PhantomData,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use dataloader::BatchFn;
use entity::{change, client, client_location};
use indexmap::IndexSet;
use sea_orm::{DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable};
use tokio::{
    sync::OnceCell,
    task::{unconstrained, yield_now},
};

use crate::{
    error::Result,
    records::{
        clients,
        list::{
            Page, PageRequest,
            per_client::{OfClient, PageOfEach, count_of_each, first_of_each, with_rows_up_to},
        },
        locations,
    },
    storage::database::Database,
};

/// The most keys in a statement.
const MAX_BATCH: usize = 1_000;

type LoaderOfPages<E> = Loader<(i64, PageOfEach), PageOf<E>, PageBatch<E>>;
/// A page whose rows an answer may have many times.
type PageOf<E> = Page<Arc<<E as EntityTrait>::Model>>;
type LoaderOfCounts<E> = Loader<i64, i64, CountBatch<E>>;

/// The loaders of one request.
pub struct Loaders {
    clients: Loader<i64, Arc<client::Model>, ClientBatch>,
    primary_locations: Loader<i64, Arc<client_location::Model>, PrimaryLocationBatch>,
    locations: Loader<i64, Arc<client_location::Model>, LocationBatch>,
    location_pages: LoaderOfPages<client_location::Entity>,
    location_counts: LoaderOfCounts<client_location::Entity>,
    histories: LoaderOfPages<change::Entity>,
    change_counts: LoaderOfCounts<change::Entity>,
}

impl Loaders {
    /// Loaders that read from `database`. What was read is kept until the request ends, so
    /// that each record is read once, unless the request changes records.
    #[must_use]
    pub fn new(database: &Database, keep: bool) -> Self {
        Self {
            clients: Loader::new(ClientBatch(database.clone()), keep),
            primary_locations: Loader::new(PrimaryLocationBatch(database.clone()), keep),
            locations: Loader::new(LocationBatch(database.clone()), keep),
            location_pages: Loader::new(PageBatch(database.clone(), PhantomData), keep),
            location_counts: Loader::new(CountBatch(database.clone(), PhantomData), keep),
            histories: Loader::new(PageBatch(database.clone(), PhantomData), keep),
            change_counts: Loader::new(CountBatch(database.clone(), PhantomData), keep),
        }
    }

    /// The client of a location or of a change.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn client(&self, id: i64) -> Result<Arc<client::Model>> {
        self.clients.load(id).await
    }

    /// The location of a change.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn location(&self, id: i64) -> Result<Arc<client_location::Model>> {
        self.locations.load(id).await
    }

    /// The primary location of a client.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn primary_location(&self, client_id: i64) -> Result<Arc<client_location::Model>> {
        self.primary_locations.load(client_id).await
    }

    /// A page of the locations of a client, by id from the start.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn locations(
        &self,
        client_id: i64,
        request: &PageRequest,
    ) -> Result<PageOf<client_location::Entity>> {
        self.location_pages
            .load((client_id, PageOfEach::of(request)))
            .await
    }

    /// A page of the changes of a client, by id from the start or from the end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn history(
        &self,
        client_id: i64,
        request: &PageRequest,
    ) -> Result<PageOf<change::Entity>> {
        self.histories
            .load((client_id, PageOfEach::of(request)))
            .await
    }

    /// How many locations a client has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_locations(&self, client_id: i64) -> Result<i64> {
        self.location_counts.load(client_id).await
    }

    /// How many changes of a client and of its locations there are.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_changes(&self, client_id: i64) -> Result<i64> {
        self.change_counts.load(client_id).await
    }
}

/// Collects the keys of sibling fields, and loads them as one batch.
///
/// The batch functions are those of the `dataloader` crate, but not the loader. The crate's
/// loader wakes the waiting fields one after the other, so each would ask alone for what it
/// needs next, and a field below a loaded field would cost one statement per row.
struct Loader<Key, Value, Load> {
    load: Load,
    /// The batch that collects keys now.
    open: Mutex<Arc<Batch<Key, Value>>>,
    /// What was loaded, if that is kept.
    kept: Option<Mutex<HashMap<Key, Result<Value>>>>,
}

/// A batch: keys that are loaded together.
struct Batch<Key, Value> {
    keys: Mutex<IndexSet<Key>>,
    values: OnceCell<HashMap<Key, Result<Value>>>,
}

impl<Key, Value> Default for Batch<Key, Value> {
    fn default() -> Self {
        Self {
            keys: Mutex::default(),
            values: OnceCell::new(),
        }
    }
}

impl<Key, Value, Load> Loader<Key, Value, Load>
where
    Key: Clone + Eq + Hash + std::fmt::Debug,
    Value: Clone,
    Load: BatchFn<Key, Result<Value>> + Clone,
{
    fn new(load: Load, keep: bool) -> Self {
        Self {
            load,
            open: Mutex::default(),
            kept: keep.then(Mutex::default),
        }
    }

    async fn load(&self, key: Key) -> Result<Value> {
        let kept = self.kept.as_ref().map(lock);
        if let Some(known) = kept.and_then(|kept| kept.get(&key).cloned()) {
            return known;
        }
        let batch = {
            let open = lock(&self.open);
            lock(&open.keys).insert(key.clone());
            Arc::clone(&open)
        };
        // The first field that gets here is the leader and loads for all. If it is dropped, the
        // next field takes over.
        let values = batch.values.get_or_init(|| async {
            yield_to_siblings().await;
            self.load_batch(&batch).await
        });
        // Without `unconstrained`, tokio would let at most 128 waiting fields go on per turn of
        // the task.
        let values = unconstrained(values).await;
        values
            .get(&key)
            .cloned()
            .unwrap_or_else(|| Err(DbErr::RecordNotFound(format!("what {key:?} refers to")).into()))
    }

    async fn load_batch(&self, batch: &Arc<Batch<Key, Value>>) -> HashMap<Key, Result<Value>> {
        {
            let mut open = lock(&self.open);
            if Arc::ptr_eq(&open, batch) {
                *open = Arc::default();
            }
        }
        let keys: Vec<_> = lock(&batch.keys).iter().cloned().collect();
        let mut values = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(MAX_BATCH) {
            values.extend(self.load.clone().load(keys).await);
        }
        if let Some(kept) = &self.kept {
            let loaded = values.iter();
            lock(kept).extend(loaded.map(|(key, value)| (key.clone(), value.clone())));
        }
        values
    }
}

/// Waits until the request's task has polled everything that is ready, so that all siblings
/// have added their keys. This relies on tokio waking a task that yielded only after the task's
/// turn; otherwise batches would merely be smaller. `yield_now` alone would return early,
/// because some parent futures poll all their children whenever one of them is woken.
async fn yield_to_siblings() {
    #[derive(Default)]
    struct Turn {
        is_over: AtomicBool,
        waker: Mutex<Option<Waker>>,
    }
    impl Wake for Turn {
        fn wake(self: Arc<Self>) {
            self.is_over.store(true, Ordering::Release);
            if let Some(waker) = lock(&self.waker).take() {
                waker.wake();
            }
        }
    }
    let turn = Arc::<Turn>::default();
    let by_runtime = Waker::from(Arc::clone(&turn));
    let mut yielding = pin!(yield_now());
    let mut is_first = true;
    poll_fn(|context| {
        *lock(&turn.waker) = Some(context.waker().clone());
        if std::mem::take(&mut is_first) {
            return yielding
                .as_mut()
                .poll(&mut Context::from_waker(&by_runtime));
        }
        if turn.is_over.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives every key its value, or the reason why there is none. A batch function must answer for
/// every key that it was asked for.
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

#[derive(Clone)]
struct ClientBatch(Database);

impl BatchFn<i64, Result<Arc<client::Model>>> for ClientBatch {
    async fn load(&mut self, ids: &[i64]) -> HashMap<i64, Result<Arc<client::Model>>> {
        let found = clients::find_many(&self.0.reader, ids).await;
        answer(
            ids,
            found.map(|rows| {
                rows.into_iter()
                    .map(|row| (row.id, Arc::new(row)))
                    .collect()
            }),
        )
    }
}

#[derive(Clone)]
struct LocationBatch(Database);

impl BatchFn<i64, Result<Arc<client_location::Model>>> for LocationBatch {
    async fn load(&mut self, ids: &[i64]) -> HashMap<i64, Result<Arc<client_location::Model>>> {
        let found = locations::find_many(&self.0.reader, ids).await;
        answer(
            ids,
            found.map(|rows| {
                rows.into_iter()
                    .map(|row| (row.id, Arc::new(row)))
                    .collect()
            }),
        )
    }
}

#[derive(Clone)]
struct PrimaryLocationBatch(Database);

impl BatchFn<i64, Result<Arc<client_location::Model>>> for PrimaryLocationBatch {
    async fn load(
        &mut self,
        client_ids: &[i64],
    ) -> HashMap<i64, Result<Arc<client_location::Model>>> {
        let found = locations::find_primaries(&self.0.reader, client_ids).await;
        answer(
            client_ids,
            found.map(|rows| {
                rows.into_iter()
                    .map(|row| (row.client_id, Arc::new(row)))
                    .collect()
            }),
        )
    }
}

struct PageBatch<E>(Database, PhantomData<E>);

impl<E> Clone for PageBatch<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<E: OfClient> BatchFn<(i64, PageOfEach), Result<PageOf<E>>> for PageBatch<E> {
    async fn load(
        &mut self,
        keys: &[(i64, PageOfEach)],
    ) -> HashMap<(i64, PageOfEach), Result<PageOf<E>>> {
        // Fields with the same arguments share a statement.
        let mut clients_by_page: HashMap<PageOfEach, Vec<i64>> = HashMap::new();
        for (client_id, page) in keys {
            clients_by_page.entry(*page).or_default().push(*client_id);
        }
        let mut pages = HashMap::with_capacity(keys.len());
        for (page, client_ids) in clients_by_page {
            let found = self.pages(page, &client_ids).await;
            for (client_id, found) in answer(&client_ids, found) {
                pages.insert((client_id, page), found);
            }
        }
        pages
    }
}

impl<E: OfClient> PageBatch<E> {
    async fn pages(&self, page: PageOfEach, client_ids: &[i64]) -> Result<HashMap<i64, PageOf<E>>> {
        let mut pages: HashMap<i64, PageOf<E>> =
            client_ids.iter().map(|id| (*id, Page::default())).collect();
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let db = &self.0.reader;
        let columns = E::Column::iter().map(|column| column.as_str());
        for row in first_of_each::<E>(db, client_ids, page, columns).await? {
            let row = E::Model::from_query_result(&row, "")?;
            if let Some(page) = pages.get_mut(&E::client_id(&row)) {
                if page.rows.len() < limit {
                    page.rows.push(Arc::new(row));
                } else {
                    page.has_next = true;
                }
            }
        }
        if let Some(after) = page.after
            && page.look_behind
        {
            let direction = page.direction;
            for client_id in with_rows_up_to::<E>(db, client_ids, direction, after).await? {
                if let Some(page) = pages.get_mut(&client_id) {
                    page.has_previous = true;
                }
            }
        }
        Ok(pages)
    }
}

struct CountBatch<E>(Database, PhantomData<E>);

impl<E> Clone for CountBatch<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<E: OfClient> BatchFn<i64, Result<i64>> for CountBatch<E> {
    async fn load(&mut self, client_ids: &[i64]) -> HashMap<i64, Result<i64>> {
        let counts = count_of_each::<E>(&self.0.reader, client_ids).await;
        let counts = counts.map(|counts| {
            let none = client_ids.iter().map(|id| (*id, 0));
            none.chain(counts).collect()
        });
        answer(client_ids, counts)
    }
}
