<?php
// Prints every client that was created or changed since the last run.
//
//     export CLIENTELE_URL=http://127.0.0.1:8080 CLIENTELE_USER=ann CLIENTELE_TOKEN=...
//     php polling.php state.json
//
// What was handled is kept in the file. A run that was cut short is simply done again.

define('PER_PAGE', (int) (getenv('PER_PAGE') ?: 500));

function get(string $path, array $parameters): array
{
    $credentials = getenv('CLIENTELE_USER') . '/token:' . getenv('CLIENTELE_TOKEN');
    $context = stream_context_create(['http' => [
        'header' => 'Authorization: Basic ' . base64_encode($credentials),
        'timeout' => 30,
    ]]);
    $url = getenv('CLIENTELE_URL') . $path . '?' . http_build_query($parameters);
    $answer = file_get_contents($url, false, $context);
    if ($answer === false) {
        // What was wrong is a warning already. The next run begins where this one did.
        exit(1);
    }
    return json_decode($answer, true, 512, JSON_THROW_ON_ERROR);
}

// All pages of one poll, until one is short: in turn, and without long breaks.
function changed_since(string $instant): Generator
{
    $page = 1;
    do {
        $parameters = ['updated_from' => $instant, 'per_page' => PER_PAGE, 'page' => $page];
        $clients = get('/api/v1/clients', $parameters);
        foreach ($clients as $client) {
            yield $client;
        }
        $page += 1;
    } while (count($clients) === PER_PAGE);
}

// Your own work. It may see a client a second time after a run that was cut short.
function handle(array $client): void
{
    echo json_encode(['id' => $client['id'], 'version' => $client['version']]), "\n";
}

$file = $argv[1];
$state = ['instant' => '1970-01-01T00:00:00.000Z', 'versions' => []];
if (file_exists($file)) {
    $state = json_decode(file_get_contents($file), true, 512, JSON_THROW_ON_ERROR);
}
// The largest instant of all pages. These texts sort as the instants do.
$instant = $state['instant'];
$versions = $state['versions'];
foreach (changed_since($state['instant']) as $client) {
    // The bound is inclusive: what was handled last is there once more.
    if (($state['versions'][$client['id']] ?? null) !== $client['version']) {
        handle($client);
    }
    if (strcmp($client['updated_at'], $instant) > 0) {
        $instant = $client['updated_at'];
        $versions = [];
    }
    if ($client['updated_at'] === $instant) {
        $versions[$client['id']] = $client['version'];
    }
}
// Only now: it is all handled.
$state = json_encode(['instant' => $instant, 'versions' => (object) $versions]);
if (file_put_contents("$file.new", $state) !== strlen($state)) {
    exit("cannot write $file.new\n");
}
rename("$file.new", $file);
