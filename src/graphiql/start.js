'use strict';

// Only this tab knows the token, and only until it is closed. localStorage would
// keep it for every tab and every day.
const TOKEN = 'clientele.token';

const WRONG_TOKEN = 'This token is wrong or was revoked.';
const NO_ANSWER = 'The gateway does not answer. Try again in a moment.';

const EXAMPLES = [
  {
    query: `# The newest clients and their primary locations.
# Run this with the play button or Ctrl+Enter.
query NewestClients {
  clients(
    first: 10
    orderBy: { field: CREATED_AT, direction: DESC }
  ) {
    totalCount
    nodes {
      id
      name
      website
      createdAt
      primaryLocation {
        name
        city
        state
        country
      }
    }
  }
}
`,
  },
  {
    query: `# Search in names and account codes, page by page.
# For the next page, add this page's endCursor to the
# variables as "after".
query SearchClients(
  $search: String!
  $first: Int!
  $after: String
) {
  clients(
    filter: { search: $search }
    first: $first
    after: $after
  ) {
    totalCount
    pageInfo {
      hasNextPage
      endCursor
    }
    nodes {
      id
      name
      accountCode
    }
  }
}
`,
    variables: { search: 'a', first: 5 },
  },
  {
    query: `# Create a client with its primary location.
# This needs a token with the scope "write".
mutation CreateClient($input: CreateClientInput!) {
  createClient(input: $input) {
    client {
      id
      name
      version
      primaryLocation {
        id
        name
      }
    }
  }
}
`,
    variables: {
      input: {
        name: 'Northwind Dental',
        website: 'https://northwind.example',
        emailInvoice: 'billing@northwind.example',
        primaryLocation: {
          name: 'Head office',
          address1: '1600 Wynkoop Street',
          city: 'Denver',
          state: 'CO',
          zip: '80202',
          country: 'US',
        },
      },
    },
  },
  {
    query: `# Change a client. What you leave out stays as it is,
# and null clears a field. With "expectedVersion" in the
# variables, nothing changes if somebody else was faster.
mutation UpdateClient(
  $id: ID!
  $input: UpdateClientInput!
  $expectedVersion: Int
) {
  updateClient(
    id: $id
    input: $input
    expectedVersion: $expectedVersion
  ) {
    client {
      id
      name
      notes
      version
      updatedAt
    }
  }
}
`,
    variables: {
      id: '1',
      input: { notes: 'Prefers e-mail', hasInvoiceReminders: true },
    },
  },
].map(({ query, variables }) => ({
  query,
  variables: variables ? JSON.stringify(variables, null, 2) : null,
}));

// Everything is found from the page's own address, so that a proxy may serve it
// under another path.
const ENDPOINT = new URL('graphql', location.href);
const SOCKET = new URL(ENDPOINT);
SOCKET.protocol = ENDPOINT.protocol.replace('http', 'ws');

const byId = (id) => document.getElementById(id);

let root;
// One more for every sign-in and sign-out: an answer to an earlier one is ignored.
let attempt = 0;
// One more for every sign-out: GraphiQL starts anew, without anybody's results.
let visit = 0;

takeTokenFromAddress();
setSession(storedToken() ? 'checking' : 'out');

addEventListener('DOMContentLoaded', () => {
  if (!window.GraphiQL) {
    setSession('out');
    showProblem('GraphiQL could not be loaded. Try to reload this page.');
    return;
  }
  root = ReactDOM.createRoot(byId('graphiql'));
  byId('sign-in').addEventListener('submit', (event) => {
    event.preventDefault();
    signIn(byId('token').value.trim());
  });
  byId('sign-out').addEventListener('submit', (event) => {
    event.preventDefault();
    signOut('');
  });
  // A link with a token may be opened in a tab that already shows this page.
  addEventListener('hashchange', () => {
    if (takeTokenFromAddress()) {
      setSession('checking');
      signIn(storedToken());
    }
  });
  if (storedToken()) {
    signIn(storedToken());
  } else {
    showGraphiql(null);
  }
});

function storedToken() {
  return sessionStorage.getItem(TOKEN);
}

/** Moves the token of a `#token=...` link out of the address bar and the history. */
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) {
    return false;
  }
  history.replaceState(null, '', location.pathname + location.search);
  sessionStorage.setItem(TOKEN, token.trim());
  return true;
}

/** What the page shows: `out`, `checking` or `in`. The style sheet does the rest. */
function setSession(state) {
  document.documentElement.dataset.session = state;
}

function showProblem(text) {
  byId('problem').textContent = text;
}

async function signIn(token) {
  const mine = ++attempt;
  const button = byId('sign-in').querySelector('button');
  byId('session').textContent = 'Signing in…';
  showProblem('');
  button.disabled = true;
  const refusal = await check(token);
  button.disabled = false;
  if (mine !== attempt) {
    return;
  }
  if (refusal === WRONG_TOKEN) {
    signOut(refusal);
    return;
  }
  if (refusal) {
    // The token may be right: it is kept for a reload.
    showSignedOut(refusal);
    return;
  }
  sessionStorage.setItem(TOKEN, token);
  byId('token').value = '';
  setSession('in');
  byId('session').textContent = 'Signed in';
  showGraphiql(token);
  byId('graphiql').focus();
}

function signOut(reason) {
  sessionStorage.removeItem(TOKEN);
  showSignedOut(reason);
}

function showSignedOut(reason) {
  attempt += 1;
  visit += 1;
  setSession('out');
  showProblem(reason);
  showGraphiql(null);
  byId('token').focus();
}

/** Asks the gateway about the token. Answers why not, or nothing. */
async function check(token) {
  // Other characters cannot be sent in a header.
  if (!/^[!-~]+$/.test(token)) {
    return WRONG_TOKEN;
  }
  try {
    const response = await post('{"query":"{ __typename }"}', token);
    if (response.status === 401) {
      return WRONG_TOKEN;
    }
    return response.ok ? null : unexpected(response);
  } catch {
    return NO_ANSWER;
  }
}

function post(body, token) {
  return fetch(ENDPOINT, {
    method: 'POST',
    body,
    // Else a browser may answer a 401 with a login box of its own, and wait for it.
    credentials: 'omit',
    headers: {
      Authorization: `Bearer ${token}`,
      Accept: 'application/graphql-response+json, application/json',
      'Content-Type': 'application/json',
    },
  });
}

function unexpected(response) {
  return `The gateway answered ${response.status} ${response.statusText}`.trim() + '.';
}

function fetcherFor(token) {
  return GraphiQL.createFetcher({
    url: ENDPOINT.href,
    enableIncrementalDelivery: false,
    fetch: (_url, { body }) => postOperation(body, token),
    subscriptionUrl: SOCKET.href,
    wsConnectionParams: { Authorization: `Bearer ${token}` },
  });
}

async function postOperation(body, token) {
  const response = await post(body, token).catch(() => null);
  if (!response) {
    return Response.json(failure(NO_ANSWER));
  }
  if (response.status === 401 && token === storedToken()) {
    signOut('Your token is no longer accepted. Please sign in again.');
  }
  // Something between here and the gateway may answer in HTML.
  const isJson = response.headers.get('Content-Type')?.includes('json');
  return isJson ? response : Response.json(failure(unexpected(response)));
}

/** A failure in the form of a GraphQL answer, which GraphiQL shows as it is. */
function failure(message) {
  return { errors: [{ message }] };
}

async function askToSignIn() {
  return failure('Sign in with an API token first.');
}

function showGraphiql(token) {
  root.render(
    React.createElement(GraphiQL, {
      key: visit,
      fetcher: token ? fetcherFor(token) : askToSignIn,
      // null keeps GraphiQL from asking for the schema.
      schema: token ? undefined : null,
      defaultTabs: EXAMPLES,
      defaultQuery: '',
      defaultEditorToolsVisibility: 'variables',
      // GraphiQL can write its headers, and so a token, to localStorage.
      isHeadersEditorEnabled: false,
      shouldPersistHeaders: false,
    }),
  );
}
