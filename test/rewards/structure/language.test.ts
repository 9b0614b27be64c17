import { expect, test } from "vitest";
import { isInLanguage, knownLanguages, languageMatch, languageOf, score } from "../../../src/rewards/index.ts";

const paragraphs: Readonly<Record<string, string>> = {
  en: "The committee will meet on Monday to decide whether the road through the valley should be closed for the winter.",
  de: "Der Ausschuss trifft sich am Montag, um zu entscheiden, ob die Straße durch das Tal im Winter gesperrt wird.",
  fr: "Le comité se réunit lundi pour décider si la route qui traverse la vallée doit être fermée pendant l'hiver.",
  es: "El comité se reúne el lunes para decidir si la carretera que atraviesa el valle debe cerrarse en invierno.",
  pt: "O comité reúne-se na segunda-feira para decidir se a estrada que atravessa o vale deve ser fechada no inverno, mas não é certo.",
  it: "Il comitato si riunisce lunedì per decidere se la strada che attraversa la valle deve essere chiusa per l'inverno.",
  nl: "De commissie komt maandag bijeen om te beslissen of de weg door het dal in de winter wordt gesloten.",
  pl: "Komisja zbierze się w poniedziałek, aby zdecydować, czy droga przez dolinę ma być zamknięta na zimę.",
  fi: "Lautakunta kokoontuu maanantaina päättämään, onko laakson läpi kulkeva tie suljettava talveksi, mutta se ei ole varmaa.",
  sv: "Kommittén träffas på måndag för att besluta om vägen genom dalen ska vara stängd under vintern, och det är inte säkert.",
  tr: "Komite, vadiden geçen yolun kış için kapatılıp kapatılmayacağına karar vermek üzere pazartesi günü toplanacak ve bu çok önemli.",
  vi: "Ủy ban sẽ họp vào thứ hai để quyết định con đường qua thung lũng có được đóng trong mùa đông hay không.",
  id: "Panitia akan bertemu pada hari Senin untuk memutuskan apakah jalan yang melalui lembah itu harus ditutup dan tidak dibuka.",
  sw: "Kamati itakutana siku ya Jumatatu ili kuamua kama barabara ya bonde inapaswa kufungwa kwa majira ya baridi na mvua.",
  ru: "Комиссия соберётся в понедельник, чтобы решить, нужно ли закрыть дорогу через долину на зиму, и это важно для всех.",
  uk: "Комісія збереться в понеділок, щоб вирішити, чи закрити дорогу через долину на зиму, і це важливо для всіх.",
  bg: "Комисията ще се събере в понеделник, за да реши дали пътят през долината да се затвори за зимата, и това е важно.",
  ar: "ستجتمع اللجنة يوم الاثنين لتقرر ما إذا كان الطريق الذي يمر عبر الوادي سيغلق في الشتاء أو لا.",
  fa: "کمیته روز دوشنبه تشکیل جلسه می‌دهد تا تصمیم بگیرد که آیا جاده‌ای که از دره می‌گذرد باید در زمستان بسته شود.",
  ur: "کمیٹی پیر کے دن یہ فیصلہ کرنے کے لیے ملے گی کہ کیا وادی سے گزرنے والی سڑک کو سردیوں میں بند کیا جائے۔",
  hi: "समिति सोमवार को यह तय करने के लिए मिलेगी कि घाटी से होकर जाने वाली सड़क को सर्दियों में बंद किया जाए या नहीं।",
  mr: "समिती सोमवारी बैठक घेणार आहे आणि दरीतून जाणारा रस्ता हिवाळ्यात बंद करायचा की नाही हे ठरवणार आहे.",
  ne: "समितिले सोमबार बैठक बसेर उपत्यका हुँदै जाने सडक जाडोमा बन्द गर्ने कि नगर्ने भन्ने निर्णय गर्नेछ र यो महत्त्वपूर्ण छ।",
  ja: "委員会は月曜日に集まり、谷を通る道路を冬の間閉鎖するかどうかを決めます。",
  zh: "委员会将于星期一开会，决定穿过山谷的道路是否应在冬季关闭。",
  ko: "위원회는 월요일에 모여 계곡을 지나는 도로를 겨울 동안 폐쇄할지 결정할 것입니다.",
  th: "คณะกรรมการจะประชุมกันในวันจันทร์เพื่อตัดสินใจว่าจะปิดถนน",
  he: "הוועדה תתכנס ביום שני כדי להחליט אם לסגור את הכביש",
  el: "Η επιτροπή θα συνεδριάσει τη Δευτέρα για να αποφασίσει",
  bn: "কমিটি সোমবার সিদ্ধান্ত নিতে বসবে",
  ta: "குழு திங்கட்கிழமை கூடி முடிவு செய்யும்",
  te: "కమిటీ సోమవారం సమావేశమై నిర్ణయిస్తుంది",
  kn: "ಸಮಿತಿಯು ಸೋಮವಾರ ಸಭೆ ಸೇರುತ್ತದೆ",
  ml: "കമ്മിറ്റി തിങ്കളാഴ്ച യോഗം ചേരും",
  gu: "સમિતિ સોમવારે મળશે અને નિર્ણય લેશે",
  pa: "ਕਮੇਟੀ ਸੋਮਵਾਰ ਨੂੰ ਫੈਸਲਾ ਕਰੇਗੀ",
};

test("there is a paragraph in every known language", () => {
  expect(Object.keys(paragraphs).sort()).toEqual([...knownLanguages].sort());
});

test.each(Object.entries(paragraphs))("%s is told, and is no other language", (code, text) => {
  expect(languageOf(text)).toBe(code);
  for (const other of knownLanguages) expect(isInLanguage(text, other)).toBe(code === "zh" && other === "ja" ? null : other === code);
});

test("what is too short, mixed or without letters is not told", async () => {
  for (const text of ["", "42", "Paris", "Ok ok", "Москва", "the und le"]) expect(languageOf(text)).toBeNull();
  expect(languageOf(`${paragraphs["ru"]!} ${paragraphs["en"]!.slice(0, 80)}`)).toBeNull();
  expect(() => isInLanguage("x", "xx")).toThrow(/cannot be told; known are en/);
  const row = { prompt: "p", completion: "Paris" };
  expect((await score(languageMatch(), { ...row, language: "fr" })).error!.kind).toBe("declined");
  expect((await score(languageMatch(), { ...row, language: "ja" })).value).toBe(0);
  expect((await score(languageMatch(), { ...row, language: "xx" })).error!.kind).toBe("wrong-column");
});
