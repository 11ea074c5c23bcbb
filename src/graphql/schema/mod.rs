//! The public schema of the records, and the resolvers behind it.

pub mod change;
pub mod client;
pub mod connection;
pub mod cursor;
pub mod loader;
pub mod location;
pub mod paging;
pub mod scalar;

use std::sync::{Arc, OnceLock};

use async_graphql::{
    ContextBase, EmptySubscription, MergedObject, SDLExportOptions, ValidationMode,
};
use entity::{api_token::Scope, change::Face};
use sea_orm::DbErr;

use super::{answer_size::AnswerSize, operation::collect::CollectedOperation, price::Price};
use crate::{
    auth,
    error::{Error, Result},
    graphql::projection::columns::Ids,
    records::{Store, changes::Author, validation::Checks},
};
use loader::Loaders;

/// Reads clients, their locations, and what was changed of them.
#[derive(MergedObject, Default)]
pub struct Query(
    client::ClientQueries,
    location::LocationQueries,
    change::ChangeQueries,
);

/// Creates and updates clients and their locations.
#[derive(MergedObject, Default)]
pub struct Mutation(client::ClientMutations, location::LocationMutations);

/// The schema that every face executes against.
pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Builds the schema. It takes no data and no extensions: data comes with each
/// request, and a single extension would slow down every field.
#[must_use]
pub fn schema() -> Schema {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        // apollo-compiler has validated every document that comes here.
        .validation_mode(ValidationMode::Fast)
        .finish()
}

/// The schema in SDL: what `clientele schema` prints and `schema.graphql` holds.
#[must_use]
pub fn sdl() -> String {
    let mut sdl = schema().sdl_with_options(SDLExportOptions::new().include_specified_by());
    if !sdl.ends_with('\n') {
        sdl.push('\n');
    }
    sdl
}

/// The user behind a request and the face that took it. The log of changes names both.
#[derive(Clone)]
pub struct Caller {
    /// The user of the token.
    pub user: Arc<str>,
    /// The face that took the request.
    pub face: Face,
    /// What the token may do.
    pub scope: Scope,
}

/// How the answers of a face differ from those of published GraphQL.
#[derive(Clone, Copy)]
pub struct Shape {
    /// How ids are written in lists.
    pub ids: Ids,
    /// Whether pages may begin after a number of rows.
    pub offsets: bool,
    /// Whether the face reads members of single records, so that these must be values.
    /// Otherwise a projection writes them as JSON text.
    pub records_as_values: bool,
}

impl Shape {
    /// Answers as the public schema describes them.
    pub const GRAPHQL: Self = Self {
        ids: Ids::Text,
        offsets: false,
        records_as_values: false,
    };
}

/// The data that resolvers need. The executor puts it into each request.
pub struct RequestData {
    /// Access to the database, and what is kept about its lists.
    pub store: Store,
    /// Loaders that batch what sibling fields ask for. They are made on first use: most
    /// requests need none.
    loaders: OnceLock<Loaders>,
    /// Whether mutations check their input and then fail, because the face has found faults
    /// that GraphQL cannot see.
    pub check_only: bool,
    /// The user and the face.
    caller: Caller,
    /// How the answers of this face differ.
    pub(in crate::graphql) shape: Shape,
    /// The operation that is executed.
    pub(in crate::graphql) executed: Arc<CollectedOperation>,
    /// How large the answer is so far.
    pub(in crate::graphql) size: AnswerSize,
    /// What the lists of the operation cost.
    pub(in crate::graphql) price: Price,
}

impl RequestData {
    /// The data of a new request.
    #[must_use]
    pub fn new(
        store: Store,
        caller: Caller,
        shape: Shape,
        executed: Arc<CollectedOperation>,
        size: AnswerSize,
        price: Price,
        check_only: bool,
    ) -> Self {
        Self {
            store,
            loaders: OnceLock::new(),
            check_only,
            caller,
            shape,
            executed,
            size,
            price,
        }
    }

    fn loaders(&self) -> &Loaders {
        let keep = !self.executed.is_mutation;
        self.loaders.get_or_init(|| Loaders::new(&self.store, keep))
    }

    pub(in crate::graphql) fn of<'a, T>(context: &ContextBase<'a, T>) -> Result<&'a Self> {
        context.data().map_err(|_| {
            let missing = DbErr::Custom("a request without its data".to_owned());
            Error::Internal(Arc::new(missing))
        })
    }

    /// The author whom the log of changes names for this request's writes.
    fn author(&self) -> Author {
        Author {
            user: Arc::clone(&self.caller.user),
            face: self.caller.face,
        }
    }

    /// Refuses a caller whose token is not for what concerns the gateway itself.
    fn require_admin(&self) -> Result<()> {
        auth::require_admin(self.caller.scope)
    }

    /// Begins the checks of the mutation's argument `input`.
    fn checks(&self) -> Checks {
        Checks::new("input").check_only(self.check_only)
    }
}
