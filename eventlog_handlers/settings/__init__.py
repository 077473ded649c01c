"""Settings that every handler shares: names and types, checks, and the frozen values made of them.

Nothing here reads the environment by itself, opens anything or imports a client library: the caller hands in
``environ``. Every refusal is a SettingsError of one sentence that names the option, the values it takes and
the remedy, and never the value of a secret. A service's own options stand in its folder.
"""
