"""Files whose content is compared by its hash only and never shown."""

import re
from fnmatch import translate

_ANYWHERE = (
    *("*.key", "*_key", "*-key", "*.pem", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.gpg", "*.age", "*.asc"),
    *("id_*", "*.keytab", "krb5.keytab", "*token*", "*secret*", "*password*", "*passphrase*", "*credential*", "*.env"),
    *(".env", ".pgpass", ".netrc", ".my.cnf", ".htpasswd", "htpasswd", ".git-credentials", ".vault-token", ".npmrc"),
    *("*shadow", "*shadow-", "shadow.*", "gshadow.*", "opasswd", "*.psk", "*.nmconnection", "kubeconfig", "*.ovpn"),
)
_FOLDERS = (
    *("/etc/ssl/private/*", "*/private/*", "*/.ssh/*", "*/.gnupg/*", "*/.aws/*", "*/.kube/*", "*/.docker/config.json"),
    *("/etc/wireguard/*", "/etc/sudoers", "/etc/sudoers.d/*", "/etc/credstore*/*", "/etc/ipsec.secrets"),
    *("/etc/NetworkManager/system-connections/*", "/var/lib/NetworkManager/*", "/proc/*/environ"),
)
_PUBLIC = re.compile(r".*(\.pub|/known_hosts|/authorized_keys|/ssh_host_[a-z0-9]+_key\.pub)")
_NAME = re.compile("|".join(map(translate, _ANYWHERE)), re.IGNORECASE)
_PATH = re.compile("|".join(map(translate, _FOLDERS)))


def is_sensitive(path: str) -> bool:
    """Whether a file is likely to hold secrets, judged by its path alone; public keys are none."""
    if _PUBLIC.fullmatch(path):
        return False
    return bool(_NAME.match(path.rpartition("/")[2]) or _PATH.match(path))
