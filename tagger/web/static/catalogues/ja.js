"use strict";
// Made by `make generate`; see tools/catalogues.py.
window.catalogue = {
 "%(all)s ms: %(open)s to open it, %(recognise)s to recognise": "%(all)s ミリ秒: 開くのに %(open)s、認識に %(recognise)s",
 "%(done)s of %(n)s picture looked at": [
  "%(n)s 枚中 %(done)s 枚を調べました"
 ],
 "%(keyword)s is learned from %(n)s photo.": [
  "写真 %(n)s 枚から %(keyword)s を学習します。"
 ],
 "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found": [
  "%(keyword)s: 写真 %(n)s 枚。その約 %(percent)s %% を見つけられます"
 ],
 "%(label)s has %(n)s example.": [
  "%(label)s の例は %(n)s 個です。"
 ],
 "%(n)s answer": [
  "回答 %(n)s 件"
 ],
 "%(n)s answer about %(label)s; tagger learns from it now.": [
  "%(label)s について %(n)s 件の回答。tagger が学習します。"
 ],
 "%(n)s photo": [
  "写真 %(n)s 枚"
 ],
 "%(n)s photo selected": [
  "写真 %(n)s 枚を選択"
 ],
 "%(name)s is forgotten.": "%(name)s を忘れました。",
 "%(percent)s %% alike": "類似度 %(percent)s %%",
 "%(percent)s %% likely": "確からしさ %(percent)s %%",
 "%(word)s is your keyword of this photo": "%(word)s をこの写真のキーワードにしました",
 "Answer questions": "質問に答える",
 "Boxes around: %(labels)s": "枠で囲んだもの: %(labels)s",
 "Forget %(name)s? It goes from all photos.": "%(name)s を忘れますか? すべての写真から外れます。",
 "Is this %(label)s?": "これは %(label)s ですか?",
 "It has your keyword, but looks unlike the others that have.": "あなたのキーワードがありますが、ほかと似ていません。",
 "Keep it in %(folder)s": "%(folder)s に保存",
 "Kept as %(path)s": "%(path)s として保存しました",
 "Larger than %(most)s MB": "%(most)s MB を超えています",
 "Looking at %(n)s more photo": [
  "あと %(n)s 枚を調べています"
 ],
 "Looking …": "探しています …",
 "More photos": "写真をもっと表示",
 "No daemon runs": "デーモンが動作していません",
 "No tag would be written": "タグは書き込まれません",
 "None is on three photos that were looked at.": "調べた写真のうち 3 枚に付いているものはありません。",
 "Only the first %(most)s are taken.": "最初の %(most)s 枚だけを使います。",
 "Preview of %(name)s": "%(name)s のプレビュー",
 "Still needed: %(what)s.": "あと必要なもの: %(what)s。",
 "Tags": "タグ",
 "Teach": "教える",
 "Teach %(keyword)s": "%(keyword)s を教える",
 "That was no answer": "正しい応答ではありません",
 "The page could not be reached": "ページに接続できません",
 "The page could not be reached: %(why)s": "ページに接続できません: %(why)s",
 "There is nothing more to ask about %(label)s.": "%(label)s についての質問はもうありません。",
 "Up to date": "最新です",
 "Up to date, %(n)s failed": [
  "最新です。失敗 %(n)s 枚"
 ],
 "being looked at…": "調べています…",
 "choose a smaller picture": "より小さい画像を選んでください",
 "failed": "失敗",
 "missing": "行方不明",
 "no preview": "プレビューなし",
 "pasted picture": "貼り付けた画像",
 "reload the page": "ページを再読み込みしてください",
 "see whether tagger runs": "tagger が動作しているか確認してください",
 "sending, %(percent)s %%": "送信中、%(percent)s %%",
 "tagged": "タグ付き",
 "untagged": "タグなし",
 "waiting": "待機中",
 "waiting for its turn": "順番待ち",
 "your own": "自分のもの"
};
