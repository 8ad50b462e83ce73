"""What a one-machine Chat4All says when it has started."""

from chat4all.settings import OneMachineSettings, is_loopback
from chat4all.usecases.demonstrating import CHAT, PASSWORD, USERS


def welcome(settings: OneMachineSettings, *, has_demo: bool) -> str:
    """Return where everything is, and how to say something if there are people to say it as."""
    gateway = f"http://{_public(settings.gateway.host)}:{settings.gateway.port}"
    metadata = f"http://{_public(settings.metadata.host)}:{settings.metadata.port}"
    lines = [
        f"Chat4All is running: {gateway} (gateway), {metadata} (metadata)",
        f"Documentation: {gateway}/docs    Data: {settings.data.resolve()}    Stop: Ctrl+C",
    ]
    if settings.people.page:
        lines += ["", f"Chat in a browser: {gateway}"]
    if has_demo:
        curl = r"curl -sw '\n'"  # else the prompt follows what is answered
        history = f"{gateway}/v1/conversations/{CHAT}/messages"
        lines += [
            "",
            f"Demonstration accounts: {' and '.join(USERS)}, password {PASSWORD}. "
            "Say something as bruno from here:",
            "",
            f"  TOKEN=$(curl -s {gateway}/token -d username=bruno -d password={PASSWORD} |",
            "    python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])')",
            f'  {curl} {gateway}/v1/messages -H "Authorization: Bearer $TOKEN" \\',
            "       -H 'Content-Type: application/json' \\",
            f'       -d \'{{"chat_id": "{CHAT}", "content": "Olá!"}}\'',
            f'  {curl} {history} -H "Authorization: Bearer $TOKEN"',
        ]
    return "\n".join(lines)


def _public(host: str) -> str:
    """Return a host as it stands in an address that a person can open."""
    if is_loopback(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host
