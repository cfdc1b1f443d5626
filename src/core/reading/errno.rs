//! Words by which a system says that storage or a network failed it: errno names and texts as run times spell them.

/// In lower case; each names a fault whatever the rest of a line says.
const WORDS: &[&str] = &[
    "no space left",
    "enospc",
    "disk full",
    "disk quota",
    "edquot",
    "read-only file system",
    "erofs",
    "input/output error",
    "i/o error",
    "eio",
    "stale file handle",
    "estale",
    "structure needs cleaning",
    "no such device",
    "enodev",
    "enxio",
    "connection refused",
    "econnrefused",
    "connection reset",
    "econnreset",
    "connection timed out",
    "i/o timeout",
    "etimedout",
    "no route to host",
    "ehostunreach",
    "network is unreachable",
    "enetunreach",
    "network is down",
    "enetdown",
    "host is down",
    "ehostdown",
    "address already in use",
    "eaddrinuse",
    "cannot assign requested address",
    "broken pipe",
    "epipe",
    "name or service not known",
    "temporary failure in name resolution",
    "no such host",
    "enotfound",
    // As glibc says it in German, French and Spanish.
    "kein speicherplatz mehr",
    "aucun espace disponible",
    "no queda espacio",
    "das dateisystem ist nur lesbar",
    "accessible en lecture seulement",
    "sistema de ficheros de sólo lectura",
    "eingabe-/ausgabefehler",
    "erreur d'entrée/sortie",
    "error de entrada/salida",
    "verbindungsaufbau abgelehnt",
    "connexion refusée",
    "conexión rehusada",
    "adresse wird bereits verwendet",
    "adresse déjà utilisée",
    "dirección ya se está usando",
    "netzwerk ist nicht erreichbar",
    "la red es inaccesible",
    "keine route zum zielrechner",
];

/// True when `message` says that storage or a network failed.
pub fn tells(message: &str) -> bool {
    let lower = message.to_ascii_lowercase();
    WORDS.iter().any(|word| {
        lower
            .match_indices(word)
            .any(|(at, _)| stands_alone(&lower, at, word.len()))
    })
}

/// A name is no part of a longer word; a text may go on (`timed out`).
fn stands_alone(text: &str, at: usize, length: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let (before, rest) = text.split_at_checked(at).unwrap_or(("", ""));
    let behind = rest.get(length..).unwrap_or("");
    !letter(before.chars().next_back()) && !letter(behind.chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_is_known_by_name_and_text() {
        for (message, want) in [
            ("write failed: No space left on device", true),
            ("listen EADDRINUSE: address in use", true),
            ("dial tcp 10.0.0.1:1883: connect: connection refused", true),
            ("getaddrinfo ENOTFOUND broker", true),
            ("pump did not answer", false),
            ("field of reion 7 is invalid", false),
        ] {
            assert_eq!(tells(message), want, "{message}");
        }
    }
}
