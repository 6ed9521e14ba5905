/** Every text of the page in each language, and how numbers are written in it. */

export const LANGUAGES = { en: "English", ru: "Русский" };

const WORDS = {
  en: {
    title: "What plant is this?",
    language: "Language",
    choosing: "Choose photos",
    drop: "Drop photos here, or choose them",
    camera: "Take a photo",
    limits: "One or many, at most {size} MB each. You can also paste a picture.",
    privacy: "Photos go to this service alone, and it keeps none of them.",
    privacy_corrections: "Photos go to this service alone, and it keeps only those that you correct.",
    looking: "Looking at {name} …",
    progress: "{done} of {n} photos …",
    busy: "The service is busy; trying again in {seconds} s …",
    stop: "Stop",
    stopped: "Stopped.",
    done: "Done: {n} {photo|photos}.",
    refused: "{name} cannot be used: {reason}",
    too_large: "it has {size} MB, and at most {limit} MB are taken.",
    folder: "it is a folder; drop the photos in it.",
    no_files: "There was no picture in that.",
    unreachable: "The service does not answer; see whether it still runs, and try again.",
    failed: "The service refused: {reason}",
    many: "{n} {photo|photos}",
    photo: "Photo",
    species: "Species",
    probability: "Probability",
    download: "Download as CSV",
    back: "All photos",
    unknown: "Unknown",
    nearest: "nearest: {name}",
    unlike: "This is unlike everything the classifier has learned from; the nearest species is {name}.",
    picture: "The photo {name}",
    blank: "This browser cannot show pictures of this format. The answer is complete.",
    heat: "Heat map",
    meaning: "Bright places spoke most for {name}. The classifier sees only what is in the frame.",
    cold: "No place in this photo speaks for {name}.",
    likeliest: "Calibrated probabilities",
    similar: "Most similar photos it has learned from",
    gone: "photo not kept",
    really: "This is really a …",
    send: "Send",
    thanks: "Thank you, it is noted: {name}.",
    about: "About this classifier",
    accuracy: "Accuracy {accuracy} (95% interval {low} to {high}) on {n} held-out {photo|photos}.",
    unmeasured: "This classifier has no figure from held-out photos; its card says what is known.",
    no_strangers: "It cannot tell strangers: it always names one of its own species.",
    card: "Model card",
    token_title: "This service asks for a token",
    token: "Token",
    enter: "Enter",
    token_wrong: "That token was not accepted.",
  },
  ru: {
    title: "Что это за растение?",
    language: "Язык",
    choosing: "Выбор фотографий",
    drop: "Перетащите сюда фотографии или выберите их",
    camera: "Сфотографировать",
    limits: "Одну или несколько, не больше {size} МБ каждая. Можно и вставить снимок из буфера.",
    privacy: "Фотографии получает только этот сервис; он ничего не хранит.",
    privacy_corrections: "Фотографии получает только этот сервис; он хранит лишь те, которые вы исправили.",
    looking: "Смотрим на {name} …",
    progress: "Фотографии: {done} из {n} …",
    busy: "Сервис занят; следующая попытка через {seconds} с …",
    stop: "Остановить",
    stopped: "Остановлено.",
    done: "Готово: {n} {фотография|фотографии|фотографий}.",
    refused: "{name} не подходит: {reason}",
    too_large: "в файле {size} МБ, а принимается не больше {limit} МБ.",
    folder: "это папка; перетащите фотографии из неё.",
    no_files: "Здесь не оказалось снимка.",
    unreachable: "Сервис не отвечает; проверьте, работает ли он, и попробуйте ещё раз.",
    failed: "Сервис отказал: {reason}",
    many: "{n} {фотография|фотографии|фотографий}",
    photo: "Фотография",
    species: "Вид",
    probability: "Вероятность",
    download: "Скачать CSV",
    back: "Все фотографии",
    unknown: "Неизвестно",
    nearest: "ближе всего: {name}",
    unlike: "Это не похоже ни на что из того, на чём учился классификатор; ближайший вид: {name}.",
    picture: "Фотография {name}",
    blank: "Этот браузер не показывает снимки такого формата. Ответ полный.",
    heat: "Тепловая карта",
    meaning: "Светлые места сильнее всего говорят за вид «{name}». Классификатор видит только то, что в рамке.",
    cold: "Ничто на этом снимке не говорит за вид «{name}».",
    likeliest: "Калиброванные вероятности",
    similar: "Самые похожие снимки, на которых он учился",
    gone: "снимок не сохранился",
    really: "На самом деле это …",
    send: "Отправить",
    thanks: "Спасибо, записано: {name}.",
    about: "Об этом классификаторе",
    accuracy: "Точность {accuracy} (95-процентный интервал от {low} до {high}); отложено {n} {фотография|фотографии|фотографий}.",
    unmeasured: "Для этого классификатора нет оценки на отложенных фотографиях; что известно, сказано в его паспорте.",
    no_strangers: "Незнакомое он не распознаёт: всегда называет один из своих видов.",
    card: "Паспорт модели",
    token_title: "Этому сервису нужен токен",
    token: "Токен",
    enter: "Войти",
    token_wrong: "Этот токен не принят.",
  },
};

const FORMS = ["one", "few", "many"]; // "other" is the last form of a language
const KEY = "leafgraft-language";
let language = chosen();

function chosen() {
  const wanted = [kept(), ...navigator.languages].map((tag) => String(tag).slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in WORDS) ?? "en";
}

function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // a browser may forbid storage
  }
}

/** The tag of the language in use. */
export const spoken = () => language;

/** Use another language from now on, and next time too. */
export function speak(tag) {
  language = tag;
  try {
    localStorage.setItem(KEY, tag);
  } catch {
    // it holds until the page is closed
  }
}

/** A text with its {places} filled in; `n` chooses among {forms|of a word}. */
export function say(key, values = {}) {
  const form = FORMS.indexOf(new Intl.PluralRules(language).select(values.n ?? 1));
  return WORDS[language][key].replace(/\{([^}]*)\}/g, (_, place) => {
    const value = place.includes("|") ? place.split("|").at(form) : values[place];
    return typeof value === "number" ? value.toLocaleString(language) : value;
  });
}

/** A share of 0-1 in per cent. */
export function percent(share) {
  const style = { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, style).format(share);
}

/** A name for the middle of a sentence, which it cannot disturb even if it is written from right to left. */
export const named = (name) => `\u2068${name}\u2069`;
