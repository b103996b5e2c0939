"""Networks on real sequences: the domains by their names."""

from experiments.real import chorales, sunspots, vowels
from experiments.real.base import Domain

DOMAINS: dict[str, Domain] = {
    "sunspots": sunspots.YEARLY,
    "sunspots-monthly": sunspots.MONTHLY,
    "vowels": vowels.DOMAIN,
    "chorales": chorales.DOMAIN,
}
