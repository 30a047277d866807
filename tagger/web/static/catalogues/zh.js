"use strict";
// Made by `make generate`; see tools/catalogues.py.
window.catalogue = {
 "%(all)s ms: %(open)s to open it, %(recognise)s to recognise": "%(all)s 毫秒：打开 %(open)s，识别 %(recognise)s",
 "%(done)s of %(n)s picture looked at": [
  "已识别 %(done)s / %(n)s 张图片"
 ],
 "%(keyword)s is learned from %(n)s photo.": [
  "正在从 %(n)s 张照片学习 %(keyword)s。"
 ],
 "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found": [
  "%(keyword)s：用于 %(n)s 张照片；约能找到其中 %(percent)s %%"
 ],
 "%(label)s has %(n)s example.": [
  "%(label)s 有 %(n)s 个示例。"
 ],
 "%(n)s answer": [
  "%(n)s 个回答"
 ],
 "%(n)s answer about %(label)s; tagger learns from it now.": [
  "关于 %(label)s 有 %(n)s 个回答；tagger 正从中学习。"
 ],
 "%(n)s photo": [
  "%(n)s 张照片"
 ],
 "%(n)s photo selected": [
  "已选择 %(n)s 张照片"
 ],
 "%(name)s is forgotten.": "已忘记 %(name)s。",
 "%(percent)s %% alike": "相似度 %(percent)s %%",
 "%(percent)s %% likely": "可能性 %(percent)s %%",
 "%(word)s is your keyword of this photo": "%(word)s 现在是您给这张照片的关键字",
 "Answer questions": "回答问题",
 "Boxes around: %(labels)s": "方框标出：%(labels)s",
 "Forget %(name)s? It goes from all photos.": "忘记 %(name)s？它将从所有照片中移除。",
 "Is this %(label)s?": "这是 %(label)s 吗？",
 "It has your keyword, but looks unlike the others that have.": "带有您的关键字，但与其他照片不像。",
 "Keep it in %(folder)s": "保存到 %(folder)s",
 "Kept as %(path)s": "已保存为 %(path)s",
 "Larger than %(most)s MB": "大于 %(most)s MB",
 "Looking at %(n)s more photo": [
  "还有 %(n)s 张照片待识别"
 ],
 "Looking …": "正在查找……",
 "More photos": "更多照片",
 "No daemon runs": "后台服务未运行",
 "No tag would be written": "不会写入任何标签",
 "None is on three photos that were looked at.": "没有一个用在三张已识别的照片上。",
 "Only the first %(most)s are taken.": "只取前 %(most)s 张。",
 "Preview of %(name)s": "%(name)s 的预览",
 "Still needed: %(what)s.": "还需要：%(what)s。",
 "Tags": "标签",
 "Teach": "让它学习",
 "Teach %(keyword)s": "让它学习 %(keyword)s",
 "That was no answer": "没有得到有效的回答",
 "The page could not be reached": "无法连接到网页",
 "The page could not be reached: %(why)s": "无法连接到网页：%(why)s",
 "There is nothing more to ask about %(label)s.": "关于 %(label)s 没有更多问题了。",
 "Up to date": "已是最新",
 "Up to date, %(n)s failed": [
  "已是最新，%(n)s 张失败"
 ],
 "being looked at…": "正在识别…",
 "choose a smaller picture": "请选择较小的图片",
 "failed": "失败",
 "missing": "缺失",
 "no preview": "无预览",
 "pasted picture": "粘贴的图片",
 "reload the page": "请重新加载网页",
 "see whether tagger runs": "请确认 tagger 正在运行",
 "sending, %(percent)s %%": "正在发送，%(percent)s %%",
 "tagged": "已加标签",
 "untagged": "无标签",
 "waiting": "等待中",
 "waiting for its turn": "正在排队",
 "your own": "您的"
};
