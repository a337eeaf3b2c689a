"""The texts of the login page, by language."""

from typing import Final, NamedTuple


class LoginTexts(NamedTuple):
    """`wrong`, `attempts` and `unavailable` say why a login was refused."""

    title: str
    username: str
    password: str
    submit: str
    wrong: str
    attempts: str
    unavailable: str


DEFAULT_LANGUAGE: Final = "en"
TEXTS: Final = {
    "en": LoginTexts(
        "Log in",
        "User",
        "Password",
        "Log in",
        "Wrong user or password",
        "Too many attempts: wait a minute and try again",
        "The bridge cannot check logins at the moment: try again soon",
    ),
    "ru": LoginTexts(
        "Вход",
        "Пользователь",
        "Пароль",
        "Войти",
        "Неверный логин или пароль",
        "Слишком много попыток: подождите минуту и попробуйте снова",
        "Сейчас вход проверить нельзя: попробуйте чуть позже",
    ),
    "es": LoginTexts(
        "Iniciar sesión",
        "Usuario",
        "Contraseña",
        "Entrar",
        "Usuario o contraseña incorrectos",
        "Demasiados intentos: espere un minuto e inténtelo de nuevo",
        "Ahora no se puede comprobar el acceso: inténtelo de nuevo en breve",
    ),
    "fr": LoginTexts(
        "Connexion",
        "Utilisateur",
        "Mot de passe",
        "Se connecter",
        "Utilisateur ou mot de passe incorrect",
        "Trop de tentatives\u00a0: attendez une minute et réessayez",
        "La connexion ne peut pas être vérifiée pour le moment\u00a0: réessayez bientôt",
    ),
    "de": LoginTexts(
        "Anmelden",
        "Benutzer",
        "Passwort",
        "Anmelden",
        "Benutzer oder Passwort falsch",
        "Zu viele Versuche: Warten Sie eine Minute und versuchen Sie es erneut",
        "Die Bridge kann Anmeldungen zurzeit nicht prüfen: Versuchen Sie es bald erneut",
    ),
}


def preferred_language(accepted: str) -> str:
    """Return the first language in `Accept-Language` that the page has; browsers list them by preference."""
    for part in accepted.split(",", 16)[:16]:
        language = part.partition(";")[0].strip().partition("-")[0].lower()
        if language in TEXTS:
            return language
    return DEFAULT_LANGUAGE
